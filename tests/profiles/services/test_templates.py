"""Templates: made, changed, removed; `line` numbers are those of the conformance check-list."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from pki_portal.access.models import Project, Role
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Forbidden, Malformed, NotFound, PermissionDenied
from profiles.models import CertificateTemplate
from profiles.policy.vocabulary import IssuerType
from profiles.querysets import templates_matching, templates_visible_to
from profiles.services import (
    ApiSettings,
    TemplateDocument,
    create_profile,
    create_template,
    delete_template,
    find_template,
    update_template,
)
from tests.factories import SYSTEM, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db

DOCUMENT = TemplateDocument(
    name="TLS Server",
    description="For web servers",
    subject=[{"type": "common_name", "allowed": ["*.example.com"]}],
    sans=[{"type": "dns_name", "required": ["*.example.com"]}, {"type": "ip_address", "denied": ["*"]}],
    key_usages={"required": ["digital_signature"], "allowed": ["key_encipherment"]},
    extended_key_usages={"required": ["server_auth"]},
    algorithms={"signature": ["SHA256-RSA"], "key_algorithm": ["RSA-2048", "EC_prime256v1"]},
    validity={"max": "90d"},
    basic_constraints={"is_ca": "denied", "max_path_length": -1},
)


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def alice(project: Project) -> Requester:
    return requester_for(make_user("alice", project=project))


def use(template: CertificateTemplate, slug: str) -> None:
    create_profile(
        requester=SYSTEM,
        project=template.project,
        slug=slug,
        template_id=template.pk,
        enrollment_method="api",
        issuer_type=IssuerType.SELF_SIGNED,
        api=ApiSettings(),
    )


def fields_of(refusal: Malformed | Forbidden) -> list[str]:
    return [violation.field for violation in refusal.violations]


def test_line_30_create_stores_the_data_with_a_slugified_name(project: Project, alice: Requester) -> None:
    made = create_template(requester=alice, project=project, document=DOCUMENT)

    stored = CertificateTemplate.objects.get(pk=made.pk)
    assert stored.name == "tls-server"
    assert stored.project == project
    assert stored.description == "For web servers"
    assert stored.subject == DOCUMENT.subject
    assert stored.sans == DOCUMENT.sans
    assert stored.key_usages == DOCUMENT.key_usages
    assert stored.algorithms == DOCUMENT.algorithms
    assert stored.validity == {"max": "90d"}
    assert stored.basic_constraints == {"is_ca": "denied", "max_path_length": -1}
    assert stored.rules().max_validity is not None


def test_a_minimal_template_has_empty_rules(project: Project, alice: Requester) -> None:
    made = create_template(requester=alice, project=project, document=TemplateDocument(name="bare"))

    assert (made.subject, made.sans, made.key_usages, made.algorithms, made.validity) == ([], [], None, None, None)


def test_types_and_usages_are_stored_in_one_spelling_and_algorithms_as_written(
    project: Project, alice: Requester
) -> None:
    document = TemplateDocument(
        name="spellings",
        subject=[{"type": "CN", "allowed": ["*"], "unread": 1}],
        sans=[{"type": "DNS", "allowed": ["*"], "required": None}],
        key_usages={"allowed": ["digitalSignature", "CRL_SIGN"]},
        extended_key_usages={"denied": ["serverAuth"]},
        algorithms={"signature": ["sha256-rsa"], "unread": True},
    )

    made = create_template(requester=alice, project=project, document=document)

    assert made.subject == [{"type": "common_name", "allowed": ["*"]}]
    assert made.sans == [{"type": "dns_name", "allowed": ["*"]}]
    assert made.key_usages == {"allowed": ["digital_signature", "crl_sign"]}
    assert made.extended_key_usages == {"denied": ["server_auth"]}
    assert made.algorithms == {"signature": ["sha256-rsa"]}


def test_a_taken_name_gets_eight_random_characters(project: Project, alice: Requester) -> None:
    create_template(requester=alice, project=project, document=DOCUMENT)

    second = create_template(requester=alice, project=project, document=DOCUMENT)

    assert re.fullmatch("tls-server-[a-z0-9]{8}", second.name)


def test_a_taken_name_of_full_length_is_cut_for_its_end(project: Project, alice: Requester) -> None:
    document = replace(DOCUMENT, name="a" * 255)
    create_template(requester=alice, project=project, document=document)

    second = create_template(requester=alice, project=project, document=document)

    assert re.fullmatch("a{246}-[a-z0-9]{8}", second.name)


def test_another_project_may_use_the_same_name(alice: Requester, project: Project) -> None:
    create_template(requester=SYSTEM, project=make_project("Other"), document=DOCUMENT)

    assert create_template(requester=alice, project=project, document=DOCUMENT).name == "tls-server"


@pytest.mark.django_db(transaction=True)
def test_templates_of_one_name_made_at_once_all_get_names_of_their_own() -> None:
    project = make_project()

    def make(_number: int) -> str:
        try:
            return create_template(requester=SYSTEM, project=project, document=DOCUMENT).name
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(make, range(4)))

    assert len(set(names)) == 4
    assert names.count("tls-server") == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "!!!"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"description": "x" * 1001}, "description"),
        ({"description": 7}, "description"),
        ({"subject": [{"type": "common_name"}]}, "subject/0"),
        ({"subject": [{"type": "nickname", "allowed": ["*"]}]}, "subject/0/type"),
        ({"sans": [{"type": "dns_name", "allowed": ["a_b"]}]}, "sans/0/allowed/0"),
        ({"sans": [{"type": "dns_name", "allowed": ["*"], "max_count": 0}]}, "sans/0/max_count"),
        ({"extended_key_usages": {"allowed": ["2.5.29.37.0"]}}, "extended_key_usages/allowed/0"),
        ({"validity": {"min": "2d", "max": "1d"}}, "validity/min"),
        ({"subject": "common_name"}, "subject"),
        ({"sans": [{"type": "dns_name", "allowed": []}]}, "sans/0"),
        ({"sans": [7]}, "sans/0"),
        ({"key_usages": {}}, "key_usages"),
        ({"key_usages": {"allowed": ["fly"]}}, "key_usages/allowed/0"),
        ({"key_usages": {"allowed": ["crl_sign"], "denied": ["crl_sign"]}}, "key_usages/denied"),
        ({"extended_key_usages": {"required": []}}, "extended_key_usages"),
        ({"algorithms": {"signature": []}}, "algorithms/signature"),
        ({"algorithms": {"key_algorithm": ["RSA_512"]}}, "algorithms/key_algorithm/0"),
        ({"validity": {"max": "soon"}}, "validity/max"),
        ({"validity": {"max": "0d"}}, "validity/max"),
        ({"basic_constraints": {"is_ca": "maybe"}}, "basic_constraints/is_ca"),
        ({"basic_constraints": {"is_ca": "allowed", "max_path_length": -2}}, "basic_constraints/max_path_length"),
    ],
)
def test_what_no_template_can_say_is_malformed(
    project: Project, alice: Requester, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Malformed) as refusal:
        create_template(requester=alice, project=project, document=replace(DOCUMENT, **changes))

    assert field in fields_of(refusal.value)
    assert not CertificateTemplate.objects.exists()


def test_every_defect_is_told_at_once(project: Project, alice: Requester) -> None:
    document = replace(DOCUMENT, name="", validity={"max": "soon"}, subject=[{"type": "common_name"}])

    with pytest.raises(Malformed) as refusal:
        create_template(requester=alice, project=project, document=document)

    assert set(fields_of(refusal.value)) >= {"name", "validity/max", "subject/0"}


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": [{"type": "common_name", "allowed": ["a"]}, {"type": "common_name", "denied": ["b"]}]},
        {"subject": [{"type": "common_name", "allowed": ["a", "a"]}]},
        {"sans": [{"type": "dns_name", "allowed": ["a"]}, {"type": "dns_name", "denied": ["b"]}]},
        {"key_usages": {"allowed": ["crl_sign", "crl_sign"]}},
    ],
)
def test_what_stands_twice_is_forbidden(project: Project, alice: Requester, changes: dict[str, Any]) -> None:
    with pytest.raises(Forbidden) as refusal:
        create_template(requester=alice, project=project, document=replace(DOCUMENT, **changes))

    assert refusal.value.violations
    assert not CertificateTemplate.objects.exists()


def test_line_31_update_stores_the_data_with_a_slugified_name(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    changed = update_template(
        requester=alice, template=template, changes={"name": "New Name", "validity": {"max": "30d"}}
    )

    stored = CertificateTemplate.objects.get(pk=template.pk)
    assert stored.name == changed.name == "new-name"
    assert stored.validity == {"max": "30d"}
    assert stored.subject == DOCUMENT.subject
    assert stored.updated_at > template.updated_at


def test_none_empties_a_rule_and_what_is_absent_stays(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    changed = update_template(requester=alice, template=template, changes={"key_usages": None, "subject": None})

    assert (changed.key_usages, changed.subject) == (None, [])
    assert changed.extended_key_usages == DOCUMENT.extended_key_usages


def test_an_update_works_on_the_row_as_it_stands_now(project: Project, alice: Requester) -> None:
    stale = create_template(requester=alice, project=project, document=DOCUMENT)
    update_template(requester=alice, template=stale, changes={"description": "first"})

    update_template(requester=alice, template=stale, changes={"validity": {"max": "1d"}})

    assert CertificateTemplate.objects.get(pk=stale.pk).description == "first"


def test_an_update_to_its_own_name_keeps_it(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    assert update_template(requester=alice, template=template, changes={"name": "TLS server"}).name == "tls-server"


def test_an_update_to_a_taken_name_gets_a_random_end(project: Project, alice: Requester) -> None:
    create_template(requester=alice, project=project, document=DOCUMENT)
    template = create_template(requester=alice, project=project, document=replace(DOCUMENT, name="other"))

    changed = update_template(requester=alice, template=template, changes={"name": "tls-server"})

    assert re.fullmatch("tls-server-[a-z0-9]{8}", changed.name)


def test_a_malformed_update_changes_nothing(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    with pytest.raises(Malformed):
        update_template(requester=alice, template=template, changes={"name": "new", "validity": {"max": "soon"}})

    assert CertificateTemplate.objects.get(pk=template.pk).name == "tls-server"


def test_line_32_update_get_and_delete_of_unknown_are_not_found(project: Project, alice: Requester) -> None:
    gone = create_template(requester=alice, project=project, document=DOCUMENT)
    delete_template(requester=alice, template=gone)

    with pytest.raises(NotFound):
        update_template(requester=alice, template=gone, changes={"description": ""})
    with pytest.raises(NotFound):
        delete_template(requester=alice, template=gone)
    with pytest.raises(NotFound):
        find_template(requester=alice, template_id=gone.pk)
    with pytest.raises(NotFound):
        find_template(requester=alice, template_id=uuid4())


def test_line_34_delete_when_unused_works(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    delete_template(requester=alice, template=template)

    assert not CertificateTemplate.objects.exists()
    assert template.pk is not None


def test_line_35_delete_in_use_is_forbidden_and_names_the_profiles(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)
    use(template, "web")
    use(template, "mail")

    with pytest.raises(Forbidden, match="mail, web"):
        delete_template(requester=alice, template=template)

    assert CertificateTemplate.objects.filter(pk=template.pk).exists()


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_reading_roles_read_and_change_nothing(project: Project, alice: Requester, role: Role) -> None:
    bob = requester_for(make_user("bob", project=project, role=role))
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    assert find_template(requester=bob, template_id=template.pk) == template
    assert list(templates_visible_to(bob, project)) == [template]
    with pytest.raises(PermissionDenied):
        create_template(requester=bob, project=project, document=DOCUMENT)
    with pytest.raises(PermissionDenied):
        update_template(requester=bob, template=template, changes={"description": "bob was here"})
    with pytest.raises(PermissionDenied):
        delete_template(requester=bob, template=template)
    assert CertificateTemplate.objects.get().description == "For web servers"


def test_for_an_outsider_nothing_exists(project: Project, alice: Requester) -> None:
    charlie = requester_for(make_user("charlie"))
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    with pytest.raises(NotFound, match=str(template.pk)):
        find_template(requester=charlie, template_id=template.pk)
    with pytest.raises(NotFound):
        templates_visible_to(charlie, project)
    with pytest.raises(NotFound):
        create_template(requester=charlie, project=project, document=DOCUMENT)
    with pytest.raises(NotFound):
        update_template(requester=charlie, template=template, changes={})
    with pytest.raises(NotFound):
        delete_template(requester=charlie, template=template)


def test_search_finds_parts_of_name_and_description_in_any_case(project: Project, alice: Requester) -> None:
    create_template(requester=alice, project=project, document=TemplateDocument(name="web"))
    create_template(requester=alice, project=project, document=TemplateDocument(name="mail", description="The WEBmail"))
    create_template(requester=alice, project=project, document=TemplateDocument(name="vpn"))

    found = templates_matching(templates_visible_to(alice, project), "wEb")

    assert sorted(template.name for template in found) == ["mail", "web"]


def test_each_act_leaves_its_event(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)
    update_template(requester=alice, template=template, changes={"description": "new"})
    delete_template(requester=alice, template=template)

    events = AuditEvent.objects.filter(subject_type="certificate-template").order_by("id")
    assert [(event.event, event.outcome, event.subject_id) for event in events] == [
        ("create-certificate-template", "done", str(template.pk)),
        ("update-certificate-template", "done", str(template.pk)),
        ("delete-certificate-template", "done", str(template.pk)),
    ]
    assert events[1].data["changed"] == {"description": {"before": "For web servers", "after": "new"}}
    assert events[0].actor_name == "alice"


def test_a_refusal_leaves_its_event(project: Project, alice: Requester) -> None:
    with pytest.raises(Malformed):
        create_template(requester=alice, project=project, document=replace(DOCUMENT, name=""))

    event = AuditEvent.objects.get(subject_type="certificate-template")
    assert (event.event, event.outcome, event.data["kind"]) == ("create-certificate-template", "refused", "malformed")


def test_an_unknown_column_is_a_fault_of_the_caller(project: Project, alice: Requester) -> None:
    template = create_template(requester=alice, project=project, document=DOCUMENT)

    with pytest.raises(TypeError, match="project_id"):
        update_template(requester=alice, template=template, changes={"project_id": uuid4()})
