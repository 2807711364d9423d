"""References as a pull asks for them. What is refused is held against the docker CLI: tests/unit/options."""

from __future__ import annotations

import pytest

from systemd_docker.engine.image_reference import Reference, check_reference, is_image_id, parse_reference
from systemd_docker.errors import UsageError

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag"),
    [
        ("busybox", "docker.io/library/busybox", "latest"),
        ("busybox:musl", "docker.io/library/busybox", "musl"),
        ("docker.io/busybox:musl", "docker.io/library/busybox", "musl"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox", "latest"),
        ("user/app:1", "docker.io/user/app", "1"),
        ("docker.io/user/app", "docker.io/user/app", "latest"),
        ("quay.io/org/team/app:v2", "quay.io/org/team/app", "v2"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app", "latest"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app", "1"),
        ("localhost/app", "localhost/app", "latest"),
        ("[::1]:5000/app:1", "[::1]:5000/app", "1"),
        ("Upper/app", "Upper/app", "latest"),
        (f"busybox@{DIGEST}", "docker.io/library/busybox", DIGEST),
        (f"quay.io/org/app:v2@{DIGEST}", "quay.io/org/app", DIGEST),
    ],
)
def test_a_reference_is_completed_as_docker_does(text: str, repository: str, tag: str) -> None:
    assert parse_reference(text) == Reference(repository, tag)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("0a" * 32, True),
        (DIGEST, True),
        ("0a" * 6, False),
        ("0A" * 32, False),
        ("0a" * 31 + "0g", False),
        (f"busybox@{DIGEST}", False),
        ("", False),
    ],
)
def test_only_whole_ids_cannot_be_pulled(text: str, *, is_id: bool) -> None:
    assert is_image_id(text) is is_id


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the name of the image is empty", "${IMAGE}"),
        ("-e", "invalid image reference '-e': not of the form NAME[:TAG][@DIGEST]", "nginx:1"),
        ("Web", "invalid image reference 'Web': the name must be lowercase", "nginx:1"),
        ("web@sha256:0a", "invalid image reference 'web@sha256:0a': not of the form NAME[:TAG][@DIGEST]", "nginx:1"),
    ],
)
def test_a_refusal_names_the_image_the_reason_and_the_remedy(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_reference(text)

    assert str(caught.value) == message
    assert hint in caught.value.hint
