"""Roles, and the asker of a question or act: a name for the audit, what it may do, and whether it sees field values."""

from dataclasses import dataclass
from enum import StrEnum

from relay.errors import NotAllowed


class Role(StrEnum):
    """What an asker may do: a viewer asks questions, an operator acts too."""

    VIEWER = "viewer"
    OPERATOR = "operator"

    def includes(self, other: "Role") -> bool:
        """True if this role includes `other`."""
        return self is Role.OPERATOR or other is Role.VIEWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """`name` is written to the audit. Without `payloads`, personal values are masked (`relay.operations.masking`)."""

    name: str
    role: Role
    payloads: bool

    def demand(self, role: Role) -> None:
        """NotAllowed unless the asker has this role."""
        if not self.role.includes(role):
            raise NotAllowed(f"{self.name} is a {self.role}: this needs the role {role}")

    def demand_payloads(self, what: str = "to try other routes on stored events") -> None:
        """NotAllowed if field values are masked: from conditions, too, that would find them out one by one."""
        if not self.payloads:
            raise NotAllowed(f"{self.name} sees no field values: {what} needs them")
