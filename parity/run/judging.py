"""How strictly a configuration judges."""

from __future__ import annotations

from parity.errors import ConfigError, ParityError
from parity.run.config import Config
from parity.tolerance import Tolerance, build_rule, preset

__all__ = ["tolerance_of"]


def tolerance_of(config: Config) -> Tolerance:
    """The rules and the preset of a configuration.

    Raises:
        ConfigError: one of them is unknown, or no bound.
    """
    try:
        rules = [(rule.tap, build_rule(**rule.bounds)) for rule in config.tolerance.rules]
        return preset(config.tolerance.preset).with_rules(rules)
    except ParityError as error:
        raise ConfigError(error.what, where=f"{config.path}: tolerance", hint=error.hint) from error
