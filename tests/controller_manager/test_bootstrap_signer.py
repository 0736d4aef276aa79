"""Which signatures cluster-info has."""

from controller_manager.bootstrap_signer import signed_data
from machinery.api import bootstrap_tokens as tokens

CONTENT = {"kubeconfig": "text"}


def test_every_token_signs_and_a_token_that_is_gone_signs_no_more() -> None:
    data = signed_data({**CONTENT, "jws-kubeconfig-oldone": "x..y", "other": "z"}, {"abcdef": "s1", "ghijkl": "s2"})
    assert data == {
        **CONTENT,
        "other": "z",
        "jws-kubeconfig-abcdef": tokens.sign("text", "abcdef", "s1"),
        "jws-kubeconfig-ghijkl": tokens.sign("text", "ghijkl", "s2"),
    }
    assert signed_data(data, {"abcdef": "s1", "ghijkl": "s2"}) == data


def test_without_a_kubeconfig_there_is_nothing_to_sign() -> None:
    assert signed_data({"jws-kubeconfig-abcdef": "x..y"}, {"abcdef": "s1"}) == {}
