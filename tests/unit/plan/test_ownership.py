from __future__ import annotations

import pytest

from systemd_docker.frozen import replace
from systemd_docker.plan.ownership import Evidence, Owner, is_of_invocation, is_owned, owner_of, with_labels
from systemd_docker.unit import UnitContext, read_unit

UNIT, INVOCATION, USER = "systemd-docker.unit", "systemd-docker.invocation", "systemd-docker.user"

Labels = dict[str, str]
MINE: Labels = {UNIT: "web.service", INVOCATION: "now", USER: ""}
THEN: Labels = MINE | {INVOCATION: "then"}
IN_WEB = "/system.slice/web.service/payload.slice"


def unit_of(name: str = "web.service", *, is_user: bool = False) -> UnitContext:
    return replace(read_unit({"INVOCATION_ID": "now"}, "/nonexistent"), name=name, is_user=is_user)


def merged(image: Labels, given: Labels) -> Labels:
    """As dockerd merges them."""
    return image | given


# (what it is, the image's labels, those of the create request, CgroupParent, the proven owner)
TABLE: tuple[tuple[str, Labels | None, Labels, str, Owner | None], ...] = (
    ("one of ours", {}, MINE, "", Owner("web.service")),
    ("one of ours, of an earlier start", {}, THEN, "", Owner("web.service")),
    ("one of ours, without an invocation", {}, MINE | {INVOCATION: ""}, "", Owner("web.service")),
    ("one of ours, as an older version labelled it", {}, {UNIT: "web.service", INVOCATION: "a"}, "",
     Owner("web.service")),
    ("a user's", {}, MINE | {USER: "1000"}, "", Owner("web.service", "1000")),
    ("another unit's", {}, MINE | {UNIT: "db.service"}, "", Owner("db.service")),
    ("docker run of any image", {}, {}, "", None),
    ("docker run of an image committed from ours", MINE, {}, "", None),
    ("docker run of an image whose author knows the unit's name", {UNIT: "web.service"}, {}, "", None),
    ("docker run of an image that names a user", {USER: "1000"}, {}, "", None),
    ("docker run of it, labelled otherwise", MINE, {"shop": "1"}, "", None),
    ("ours, of an image committed from ours", THEN, MINE, "", Owner("web.service")),
    ("ours, of an image that names the unit", {UNIT: "web.service"}, MINE, "", Owner("web.service")),
    ("ours, of an image that names another unit", {UNIT: "db.service"}, MINE, "", Owner("web.service")),
    ("ours, of an image that names a user", {USER: "1000"}, MINE, "", Owner("web.service")),
    ("a user's, of an image that names another", {USER: "1000"}, MINE | {USER: "1"}, "", Owner("web.service", "1")),
    ("another unit's, of an image committed from ours", MINE, MINE | {UNIT: "db.service", INVOCATION: "b"}, "",
     Owner("db.service")),
    ("ours in its place, whose image is gone", None, MINE, IN_WEB, Owner("web.service")),
    ("ours elsewhere, whose image is gone", None, MINE, "", None),
    ("in another unit's place, image gone", None, MINE, "/system.slice/db.service/payload.slice", None),
    ("in a scope of the unit's, image gone", None, MINE, "/system.slice/web.service/x.scope", None),
    ("docker run --cgroup-parent, of an image committed from ours", MINE, {}, "/system.slice", None),
)  # fmt: skip


@pytest.mark.parametrize(("image", "given", "cgroup_parent", "owner"), [row[1:] for row in TABLE], ids=lambda _: "")
def test_the_owner_is_proven(image: Labels | None, given: Labels, cgroup_parent: str, owner: Owner | None) -> None:
    evidence = Evidence(merged(image or {}, given), image, cgroup_parent)

    assert owner_of(evidence) == owner
    assert is_owned(evidence, unit_of()) == (owner == Owner("web.service"))
    assert not is_owned(evidence, unit_of("other.service"))


def test_the_managers_of_a_host_have_units_of_the_same_name() -> None:
    users = unit_of(is_user=True)

    assert is_owned(Evidence(MINE | {USER: users.user}, {}), users)
    assert not is_owned(Evidence(MINE | {USER: users.user}, {}), unit_of())
    assert not is_owned(Evidence(MINE, {}), users)


def test_every_label_is_in_the_request_so_that_no_image_gives_it() -> None:
    assert with_labels({"Labels": {"a": "b"}}, unit_of()) == {"Labels": {"a": "b", **MINE}}
    assert with_labels({}, unit_of("")) == {}


@pytest.mark.parametrize(
    ("mine", "labelled", "expected"), [("now", "now", True), ("now", "then", False), ("", "", False)]
)
def test_an_invocation_that_is_not_known_is_no_containers(mine: str, labelled: str, expected: bool) -> None:  # noqa: FBT001  a column
    unit = replace(unit_of(), invocation_id=mine)

    assert is_of_invocation(MINE | {INVOCATION: labelled}, unit) is expected
