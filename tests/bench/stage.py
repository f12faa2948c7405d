"""Everything that a run sets up, made when first needed and taken down at its end."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.cfssl import Cfssl
from tests.bench.django_ca import DjangoCa
from tests.bench.portal import Portal, Portals
from tests.bench.postgres import Postgres
from tests.bench.servers import Servers
from tests.bench.targets import Target
from tests.bench.visits import Conditions, Load, Visits, interleaved

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is.

    Attributes:
        rows: certificates that are there when issuing is measured, and the largest of what grows.
        sizes: certificates, or revocations, at which growth is looked at.
        seconds: of one visit.
        renewals: due at once.
        issued: certificates issued between the two looks at memory.
        has_shipped_hasher: whether django-ca as shipped is asked too, which takes long.
    """

    rows: int
    sizes: tuple[int, ...]
    seconds: int
    renewals: int
    issued: int
    has_shipped_hasher: bool


@dataclass(frozen=True)
class Stage:
    """What goals measure on."""

    folder: Path
    scale: Scale
    conditions: Conditions
    postgres: Postgres
    portals: Portals
    cfssl: Cfssl
    django_ca: DjangoCa
    # Everything that was visited, in order: connections, targets and what was found.
    visited: list[tuple[int, Sequence[Target], Visits]] = field(default_factory=list)

    def visit(self, *targets: Target, connections: int = 8) -> Visits:
        """Visit them under the load of this run. Raises Broken."""
        load = Load(connections=connections, seconds=self.scale.seconds)
        visits = interleaved(targets, load, self.conditions, database=self.postgres.pid)
        self.visited.append((connections, targets, visits))
        return visits

    @property
    def portal(self) -> Portal:
        """Ours, with all the rows."""
        return self.portals.with_certificates(self.scale.rows)


@contextmanager
def set_up(scale: Scale, conditions: Conditions) -> Iterator[Stage]:
    """A stage in a folder of its own, on the disk where the project is: what is flushed to it takes its time."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build, ignore_cleanup_errors=True) as name:
        folder, servers = Path(name), Servers()
        postgres = Postgres(folder / "postgres")
        try:
            yield Stage(
                folder=folder,
                scale=scale,
                conditions=conditions,
                postgres=postgres,
                portals=Portals(folder / "portal", postgres, servers),
                cfssl=Cfssl(folder / "cfssl", postgres, servers),
                django_ca=DjangoCa(folder / "django-ca", postgres, servers),
            )
        finally:
            servers.end_all()
            postgres.stop()
