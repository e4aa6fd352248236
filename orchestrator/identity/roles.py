"""Six roles, from the one that may least to the one that may most, and their permissions (X-005)."""

from enum import StrEnum


class Permission(StrEnum):
    """What a route may ask for."""

    READ_EXECUTIONS = "executions:read"
    WRITE_EXECUTIONS = "executions:write"
    MANAGE_WEBHOOKS = "webhooks:manage"
    MANAGE_TOKENS = "tokens:manage"
    MANAGE_JOBS = "jobs:manage"


class Role(StrEnum):
    """What a token or person is, in rising order."""

    VIEWER = "viewer"
    VALIDATOR = "validator"
    QA_LEAD = "qa_lead"
    ADMIN = "admin"
    ORG_ADMIN = "org_admin"
    SUPER_ADMIN = "super_admin"

    def may(self, permission: Permission) -> bool:
        """Whether the role has the permission."""
        return permission in PERMISSIONS[self]

    def is_above(self, other: "Role") -> bool:
        """Whether the role ranks higher than the other, which may then not grant it."""
        return _RANKS[self] > _RANKS[other]


_READ = frozenset({Permission.READ_EXECUTIONS})
# URLs of webhooks may hold secrets of the places they lead to, so that whoever only reads does not see them.
_WRITE = _READ | {Permission.WRITE_EXECUTIONS, Permission.MANAGE_WEBHOOKS}
_ALL = frozenset(Permission)

PERMISSIONS = {
    Role.VIEWER: _READ,
    Role.VALIDATOR: _READ,
    Role.QA_LEAD: _WRITE,
    Role.ADMIN: _ALL,
    Role.ORG_ADMIN: _ALL,
    Role.SUPER_ADMIN: _ALL,
}

_RANKS = {role: rank for rank, role in enumerate(Role)}
