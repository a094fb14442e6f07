"""Whom new conversations go to by themselves."""

from typing import Final

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.automation.commands.assignment_rules import (
    CreateAssignmentRule,
    UpdateAssignmentRule,
    create_rule,
    delete_rule,
    update_rule,
)
from plixa.automation.queries.assignment_rules import AssignmentRuleView, PreviewAssignment, PreviewView, list_rules, preview_assignment
from plixa.automation.queries.routing import FEATURE
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put

NOTHING: Final = PreviewAssignment()


class AssignmentRuleController(Controller):
    path = "/auto-assignment-rules"
    tags = ("Auto-assignment",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow) -> Data[list[AssignmentRuleView]]:
        """List the rules in the order in which they run, so that everybody sees why a conversation is theirs."""
        return Data(await list_rules(uow))

    @post("/", access=Access.OWNER, feature=FEATURE)
    async def create(self, uow: Uow, data: JSONBody[CreateAssignmentRule]) -> Data[AssignmentRuleView]:
        """Create a rule."""
        return Data(await create_rule(uow, data))

    @post("/preview", access=Access.OWNER, feature=FEATURE, audited=False, status_code=200)
    async def preview(self, uow: Uow, data: JSONBody[PreviewAssignment | None] = None) -> Data[PreviewView]:
        """Tell which rule would decide on a new conversation, and for whom; nothing is assigned and nobody's turn passes."""
        return Data(await preview_assignment(uow, data or NOTHING))

    @put("/{rule:int}", access=Access.OWNER, feature=FEATURE)
    async def update(self, uow: Uow, rule: FromPath[int], data: JSONBody[UpdateAssignmentRule]) -> Data[AssignmentRuleView]:
        """Change a rule; what is not given stays."""
        return Data(await update_rule(uow, rule, data))

    @delete("/{rule:int}", access=Access.OWNER, feature=FEATURE)
    async def remove(self, uow: Uow, rule: FromPath[int]) -> None:
        """Delete a rule."""
        await delete_rule(uow, rule)
