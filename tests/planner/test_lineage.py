"""What comes before and after a migration is what the graph itself says."""

from __future__ import annotations

from django.db.migrations.graph import MigrationGraph
from django.db.migrations.migration import Migration
from hypothesis import given
from hypothesis import strategies as st

from safemigrate.planner.lineage import Lineage


def graph_of(parents: list[set[int]]) -> tuple[MigrationGraph, list[tuple[str, str]]]:
    """Shape: also its keys, each behind those that it rests on."""
    graph = MigrationGraph()
    keys = [("shop", f"{number:04}") for number in range(len(parents))]
    for key in keys:
        graph.add_node(key, Migration(key[1], key[0]))
    for number, key in enumerate(keys[1:], 1):
        for parent in {one % number for one in parents[number]}:
            graph.add_dependency(None, key, keys[parent])
    return graph, keys


@given(st.lists(st.sets(st.integers(0, 30), max_size=3), min_size=1, max_size=12))
def test_it_is_what_walking_the_graph_finds(parents):
    """Branches, merges, apps that nothing connects."""
    graph, keys = graph_of(parents)
    lineage = Lineage(graph, keys)
    for key in keys:
        before, after = graph.forwards_plan(key), graph.backwards_plan(key)
        assert lineage.before(key) == [graph.nodes[one] for one in sorted(before)]
        assert lineage.above(key, reversed(keys)) == sorted(set(before) - {key})
        assert lineage.after(key) == [graph.nodes[one] for one in sorted(after)]
