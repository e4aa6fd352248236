"""Who asks."""

import msgspec

from orchestrator.errors import Forbidden
from orchestrator.identity.roles import Permission, Role


class Principal(msgspec.Struct, frozen=True):
    """Who a request comes from.

    Attributes:
        tenant_id: whose data it may see.
        subject: the API token's id, or the execution's for a runner that holds a webhook token.
        role: None for a runner, which may report on its own execution and do nothing else.
        execution_id: the only execution that it may deal with, as a managed shard's token has it; None for any.
    """

    tenant_id: int
    subject: str
    role: Role | None
    execution_id: str | None = None

    def require(self, permission: Permission) -> None:
        """Let only those pass who have the permission.

        Raises:
            Forbidden: it is lacking; the message names it.
        """
        if self.execution_id is not None and permission in OF_SHARDS:
            return
        if self.role is None or not self.role.may(permission):
            raise Forbidden(f"This token's role ({self.role}) does not include the permission {permission}")

    def require_execution(self, execution_id: str | None) -> None:
        """Let a managed shard deal with its own execution alone.

        Args:
            execution_id: what the request is about; None where it is about no execution, or several.

        Raises:
            Forbidden: it is about another one.
        """
        if self.execution_id not in (None, execution_id):
            raise Forbidden(f"This token is for {self.execution_id} alone")


OF_SHARDS = frozenset({Permission.READ_EXECUTIONS, Permission.WRITE_EXECUTIONS})
"""What managed shards may do, each in its own execution."""
