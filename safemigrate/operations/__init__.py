"""Floor 3: what people put into migration files."""

from safemigrate.facts.defaults import RandomUUID
from safemigrate.facts.phases import IRREVERSIBLE, Phase
from safemigrate.operations.altering import ContractFieldCheck, ExpandAlterField
from safemigrate.operations.assured import Assured
from safemigrate.operations.backfill import BatchedBackfill, StopFilling
from safemigrate.operations.base import SafeOperation
from safemigrate.operations.columns import (
    AddRenamedField,
    CompleteRenamedField,
    CopyRenamedField,
    DropRenamedField,
)
from safemigrate.operations.constraints import (
    AddCheckConstraint,
    AddUniqueConstraintConcurrently,
    AlterUniqueTogetherConcurrently,
    DropConstraint,
)
from safemigrate.operations.contract import ContractDrop, MakeModelIgnorable
from safemigrate.operations.fields import (
    DropDatabaseDefault,
    ExpandField,
    MakeFieldIgnorable,
    SetNotNull,
)
from safemigrate.operations.indexes import (
    AddFieldIndexConcurrently,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
)
from safemigrate.operations.many_to_many import ContractAlterManyToMany, ExpandAlterManyToMany
from safemigrate.operations.names import (
    AlterIndex,
    RenameConstraint,
    RenameIndex,
    ReplaceConstraint,
    ReplaceIndex,
)
from safemigrate.operations.ordering import AddOrderColumn, DropOrderColumn
from safemigrate.operations.relations import AddForeignKey, ContractForeignKey
from safemigrate.operations.renames import (
    ContractRenameField,
    ContractRenameModel,
    ContractRenamePrimaryKey,
    ContractRenameTable,
    ExpandRenameField,
    ExpandRenameModel,
    ExpandRenamePrimaryKey,
    ExpandRenameTable,
)
from safemigrate.operations.shadows import (
    AddShadowField,
    CopyShadowField,
    DropShadowField,
    SwapShadowField,
)

__all__ = [
    "IRREVERSIBLE",
    "AddCheckConstraint",
    "AddFieldIndexConcurrently",
    "AddForeignKey",
    "AddIndexConcurrently",
    "AddOrderColumn",
    "AddRenamedField",
    "AddShadowField",
    "AddUniqueConstraintConcurrently",
    "AlterIndex",
    "AlterUniqueTogetherConcurrently",
    "Assured",
    "BatchedBackfill",
    "CompleteRenamedField",
    "ContractAlterManyToMany",
    "ContractDrop",
    "ContractFieldCheck",
    "ContractForeignKey",
    "ContractRenameField",
    "ContractRenameModel",
    "ContractRenamePrimaryKey",
    "ContractRenameTable",
    "CopyRenamedField",
    "CopyShadowField",
    "DropConstraint",
    "DropDatabaseDefault",
    "DropOrderColumn",
    "DropRenamedField",
    "DropShadowField",
    "ExpandAlterField",
    "ExpandAlterManyToMany",
    "ExpandField",
    "ExpandRenameField",
    "ExpandRenameModel",
    "ExpandRenamePrimaryKey",
    "ExpandRenameTable",
    "MakeFieldIgnorable",
    "MakeModelIgnorable",
    "Phase",
    "RandomUUID",
    "RemoveIndexConcurrently",
    "RenameConstraint",
    "RenameIndex",
    "ReplaceConstraint",
    "ReplaceIndex",
    "SafeOperation",
    "SetNotNull",
    "StopFilling",
    "SwapShadowField",
]

# The path that ends up in other people's migration files; where a class lives may change.
for _name in __all__:
    globals()[_name].__module__ = __name__
