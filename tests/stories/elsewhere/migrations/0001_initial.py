from django.db import migrations

SCHEMA = """
CREATE SCHEMA branch;
CREATE TABLE outside (id bigint PRIMARY KEY, word varchar(9));
INSERT INTO outside SELECT n, n FROM generate_series(1, 3) n
"""


class Migration(migrations.Migration):
    initial = True
    operations = [migrations.RunSQL(SCHEMA, migrations.RunSQL.noop)]
