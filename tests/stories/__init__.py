"""
Whole deployments, with the code of the old and of the new release at work in every window.

A **row** is one change of models and what must come of it. To add one, append a ``Row`` to the
list ``ROWS`` of ``tests/stories/rows/<area>.py`` (a new file there is found by itself)::

    Row(
        "a char field made wider",
        before="class Order(models.Model):\n    code = models.CharField(max_length=5)",
        after="class Order(models.Model):\n    code = models.CharField(max_length=50)",
    )

That is enough for most: what is written, and what must be read afterwards, follows from the
models. ``rows/__init__.py`` lists what else a row can say. ``test_rows.py`` deploys it:

r1 is installed and used; the models are edited, ``makemigrations`` writes the files and its
``--check`` is clean; ``migrate`` at r2 runs while r1's code goes on between its files and between
the batches (5 rows) of its backfills; then r1 alone; r2 and r1 together; ``migrate <app> <what r1
had>``, after which r1's schema and rows are as they were; r1 alone; ``migrate`` at r2 again; r1
alone again (the code is rolled back); r2 again; r1 ends; ``migrate`` at r3, r2 at work in between;
r2 alone. In each window the code alive creates, reads, saves, updates, upserts, deletes, and each
value is compared with what was written, by every release. At last the schema must be what plain
Django makes of the new models on an empty database.

``pytest tests/stories -k "made_wider"`` runs one row. A process of each release lives as long as
its code would, carries its release to the server, and is forked, so that a whole story takes
about three seconds (``tests/nursery.py``).
"""
