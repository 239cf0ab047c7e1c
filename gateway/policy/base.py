"""What every settings class shares: frozen, no unknown keys, no infinities, and rules between its own settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

RULE_ERROR = "policy_rule"
"""The pydantic error type of a broken rule: the loader leaves it to `Settings.rules`, which names each one."""

Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}$")]
PositiveFloat: TypeAlias = Annotated[float, Field(gt=0)]
Quality: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]

# Bounded on both sides: an exponent of a billion would become an exact fraction of a billion digits.
PositiveDecimal: TypeAlias = Annotated[Decimal, Field(gt=0, le=10**12, decimal_places=18)]
NonNegativeDecimal: TypeAlias = Annotated[Decimal, Field(ge=0, le=10**12, decimal_places=18)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong between the settings of one mapping, one message each.

        `given` may hold raw values from the file that are themselves wrong (the loader reports all errors at once),
        so a rule looks at what is present and compares only what it has checked to be comparable.
        """
        del given
        return iter(())

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        broken = list(type(self).rules(self.__dict__))
        if broken:
            raise PydanticCustomError(RULE_ERROR, "{broken}", {"broken": "; ".join(broken)})
        return self
