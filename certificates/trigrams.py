"""Finding a part of a name among a million certificates, on PostgreSQL: an index of all three characters in a row.

By a function of our own, since the extension pg_trgm is not there on every server, or not ours to install. SQLite looks
at every row instead.
"""

from collections.abc import Mapping
from functools import lru_cache
from time import monotonic
from typing import Any, Final

from django.apps import AppConfig
from django.db import connection, connections, models, transaction
from django.db.models.functions import StrIndex, Upper
from django.db.models.lookups import GreaterThan
from django.db.models.signals import post_migrate

from certificates.models import Certificate

_INDEX: Final = "certificate_name_trigrams"
_LENGTH: Final = 3
# What a search looks for a part of; in the index and in queries the same, letter for letter.
_NAMES: Final = models.Func(
    *("common_name", "alt_names", "friendly_name"),
    template="(%(expressions)s)",
    arg_joiner=" || ' ' || ",
    output_field=models.TextField(),
)
# In plpgsql, where it costs half of what it does in SQL. Taken apart once: `substr` would count from the beginning each
# time, and a thousand names make a long text.
_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION name_trigrams(name text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE found text[] := '{}'; letters text[] := string_to_array(name, NULL);
BEGIN
    FOR start IN 1 .. cardinality(letters) - 2 LOOP
        found[start] := letters[start] || letters[start + 1] || letters[start + 2];
    END LOOP;
    RETURN found;
END $$
"""


# Of so many trigrams, the rarest, the index looks for the rows; of none that is in every twentieth name: to go through
# its rows would cost more than it saves.
_ASKED_AT_MOST: Final = 3
_COMMON: Final = 0.05
# What ANALYZE saw, of the thousand most common trigrams: in which part of all names each is.
_SHARES: Final = f"""
SELECT common.* FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common (value, share)
WHERE schemaname = current_schema() AND tablename = '{_INDEX}'
"""  # noqa: S608 - a constant
# It takes longer to read than most searches do; an old one makes a search slower at worst.
_SHARES_KEPT_SECONDS: Final = 60


class _HaveTrigrams(models.Func):
    """Whether these are among the trigrams of a text; compared as bytes."""

    output_field = models.BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> Any:
        """The first expression is the text, all others are trigrams."""
        text, *trigrams = (compiler.compile(each) for each in self.get_source_expressions())
        listed = ", ".join(sql for sql, _ in trigrams)
        params = [value for _, values in (text, *trigrams) for value in values]
        return f'name_trigrams(UPPER({text[0]}) COLLATE "C") @> ARRAY[{listed}]::text[]', params


def named_like(text: str) -> models.Q:
    """Certificates with ``text`` in a name, in any case."""
    return _is_within(_NAMES, text) & _has_trigrams(text)


def field_like(field: str, text: str) -> models.Q:
    """The same of ``common_name`` or ``friendly_name`` alone."""
    return _is_within(models.F(field), text) & _has_trigrams(text)


def _is_within(where: models.expressions.Combinable, text: str) -> models.Q:
    # Not LIKE: of that the planner would expect so few hits that it sorted a million instead of reading the newest.
    return models.Q(GreaterThan(StrIndex(Upper(where), Upper(models.Value(text))), 0))


def _has_trigrams(text: str) -> models.Q:
    """A query on PostgreSQL, rarely two."""
    if connection.vendor != "postgresql" or len(text) < _LENGTH:
        return models.Q()
    with connection.cursor() as cursor:
        # Upper case is what the database takes for it: as in the index.
        cursor.execute("""SELECT name_trigrams(upper(%s) COLLATE "C")""", [text])
        asked = set(cursor.fetchone()[0])
    shares = _shares(int(monotonic() // _SHARES_KEPT_SECONDS))
    rarest = sorted((shares.get(trigram, 0.0), trigram) for trigram in asked)[:_ASKED_AT_MOST]
    chosen = [models.Value(trigram) for share, trigram in rarest if share < _COMMON]
    return models.Q(_HaveTrigrams(_NAMES, *chosen)) if chosen else models.Q()


@lru_cache(maxsize=1)
def _shares(_: int) -> Mapping[str, float]:
    """One query, once in each period."""
    with connection.cursor() as cursor:
        cursor.execute(_SHARES)
        return dict(cursor.fetchall())


def make_trigrams(*, using: str, app_config: AppConfig, **_: object) -> None:
    """After migrations of certificates, on PostgreSQL: function and index where they lack."""
    database = connections[using]
    table = Certificate._meta.db_table
    if app_config.label != Certificate._meta.app_label or database.vendor != "postgresql":
        return
    with transaction.atomic(using=using), database.cursor() as cursor:
        if table not in database.introspection.table_names(cursor):
            return  # migrated back to a time before it
        cursor.execute(_FUNCTION)
        # New rows are sorted in some thousand at a time, for that costs each a tenth of what it would alone; searches
        # look through those that are not yet.
        names = "common_name || ' ' || alt_names || ' ' || friendly_name"
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS {_INDEX} ON {table}"
            f' USING gin (name_trigrams(upper({names}) COLLATE "C")) WITH (gin_pending_list_limit = 1024)'
        )


def connect() -> None:
    """Make them after every migration from now on."""
    post_migrate.connect(make_trigrams, dispatch_uid="make_trigrams")
