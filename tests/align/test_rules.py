import pytest

from parity.align import LayoutRule, Rename
from parity.align.rules import rename
from parity.errors import ConfigError
from parity.tensors import Role


@pytest.mark.parametrize(
    ("rule", "path", "renamed"),
    [
        (
            "layers.{i}.attn.{rest} -> flow_lm.transformer.layers.{i}.self_attn.{rest}",
            "layers.3.attn.out.proj",
            "flow_lm.transformer.layers.3.self_attn.out.proj",
        ),
        ("{rest} -> model.{rest}", "a.b", "model.a.b"),
        ("a.b -> c", "a.b", "c"),
        ("h{n}_out -> blocks.{n}", "h12_out", "blocks.12"),
        ("{a}.{a} -> {a}", "x.x", "x"),
        (r"regex:^net\. -> flow_lm.", "net.a.b", "flow_lm.a.b"),
        (r"regex:^module\. -> ", "module.a.b", "a.b"),
        (r"regex:^l(\d+)\.(?P<what>.*)$ -> layers.\1.\g<what>", "l3.a.b", "layers.3.a.b"),
    ],
)
def test_turns_a_path_into_another(rule: str, path: str, renamed: str) -> None:
    found = Rename.parse(rule).apply(path)
    assert found is not None
    assert found.path == renamed
    assert (found.role, found.phase, found.call) == (None, None, None)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("a.b -> c", "a.b.c"),
        ("a.b -> c", "axb"),
        ("layers.{i} -> x.{i}", "layers.1.norm"),
        ("{a}.{a} -> {a}", "x.y"),
        (r"regex:^b -> c", "ab"),
    ],
)
def test_leaves_other_paths_alone(rule: str, path: str) -> None:
    assert Rename.parse(rule).apply(path) is None


def test_target_can_say_port_phase_and_call() -> None:
    rule = Rename.parse("step_{n}_out -> flow_lm.out_norm:output.1@generate#{n}")
    found = rule.apply("step_012_out")
    assert found is not None
    assert found.path == "flow_lm.out_norm"
    assert (found.role, found.slot) == (Role.OUTPUT, "1")
    assert (found.phase, found.call) == ("generate", 12)


def test_first_match_wins() -> None:
    rules = [Rename.parse("a.{rest} -> b.{rest}"), Rename.parse("{rest} -> c.{rest}")]
    hits = [rename(rules, path) for path in ("a.x", "z.x")]
    assert [(hit[0], hit[1].path) for hit in hits if hit] == [(0, "b.x"), (1, "c.z.x")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a", "a rename rule reads"),
        ("-> b", "a rename rule reads"),
        ("a -> ", r"a target reads path\[:port\]"),
        ("a -> b.{c}", r"the source has no \{c\}"),
        ("regex:( -> b", "not a regular expression"),
        (r"regex:a -> \2", "the target does not fit the source"),
        ("a -> b#1#2", r"a target reads path\[:port\]"),
    ],
)
def test_says_what_is_wrong_with_a_rule(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Rename.parse(text)


def test_refuses_roles_and_calls_that_are_none() -> None:
    with pytest.raises(ConfigError, match="'nope' is no role"):
        Rename.parse("a -> b:nope").apply("a")
    with pytest.raises(ConfigError, match="'x', from 'ax', is no call number"):
        Rename.parse("a{n} -> b#{n}").apply("ax")


def test_layout_rule_is_for_paths_and_rank() -> None:
    rule = LayoutRule("decoder.*", (0, 2, 1))
    assert rule.matches("decoder.conv", 3)
    assert not rule.matches("decoder.conv", 2)
    assert not rule.matches("encoder.conv", 3)


@pytest.mark.parametrize("permutation", [(0, 2), (1, 1), (-1, 0)])
def test_layout_rule_must_permute(permutation: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="is no permutation of axes"):
        LayoutRule("*", permutation)
