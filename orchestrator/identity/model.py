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
    """

    tenant_id: int
    subject: str
    role: Role | None

    def require(self, permission: Permission) -> None:
        """Let only those pass who have the permission.

        Raises:
            Forbidden: it is lacking; the message names it.
        """
        if self.role is None or not self.role.may(permission):
            raise Forbidden(f"This token's role ({self.role}) does not include the permission {permission}")
