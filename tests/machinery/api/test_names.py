"""Names: which are legal, and what is said of those that are not."""

from collections.abc import Callable

import pytest

from machinery.api import names

Check = Callable[[str], list[str]]


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        pytest.param(names.is_dns_label, ["a", "a-1", "0a"], ["", "A", "-a", "a.", "a" * 64], id="label"),
        pytest.param(names.is_dns_subdomain, ["a.b", "a-1.b2"], ["", "a..b", ".a", "A.b", "a" * 254], id="subdomain"),
        pytest.param(names.is_dns1035_label, ["a", "a-1"], ["", "1a", "a.b"], id="1035"),
        pytest.param(
            names.is_qualified_name, ["a", "A_b.c", "x.io/a"], ["", "/a", "a/", "a/b/c", "-a"], id="qualified"
        ),
        pytest.param(names.is_label_value, ["", "a", "A.b_c"], ["-a", "a b", "a" * 64], id="value"),
        pytest.param(names.is_env_var_name, ["A", "_a", "a.b-c"], ["", "1a", "a b", ".", ".."], id="env"),
        pytest.param(names.is_config_key, ["a", "A_b.c", "..."[:1] + "a"], ["", "a/b", ".", "..", "..a"], id="key"),
    ],
)
def test_names_are_checked(check: Check, good: list[str], bad: list[str]) -> None:
    assert [name for name in good if check(name)] == []
    assert [name for name in bad if not check(name)] == []


def test_generated_names_fit_and_differ() -> None:
    name = names.generate_name("x" * 80)
    assert len(name) == 63
    assert names.generate_name("web-") != names.generate_name("web-")
    assert not names.is_dns_label(names.generate_name("web-"))


def test_encoded_text_spells_no_word() -> None:
    assert set(names.safe_encode("1234567890aeiou")) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_key_prints_as_messages_name_objects() -> None:
    assert str(names.ObjectKey("default", "web")) == "default/web"
    assert str(names.ObjectKey("", "node-a")) == "node-a"
