"""The getting-started list, computed from what is there."""

from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork

STEPS: Final = {
    "connect_whatsapp": ("/settings/numbers", "EXISTS (SELECT FROM phone_instance WHERE tenant_id = t.tenant_id AND status = 'connected')"),
    "first_message": ("/inbox", "EXISTS (SELECT FROM inbox_conversation WHERE tenant_id = t.tenant_id)"),
    "business_hours": ("/settings/hours", "EXISTS (SELECT FROM business_hours WHERE tenant_id = t.tenant_id)"),
    "welcome_message": ("/settings/welcome", "EXISTS (SELECT FROM welcome_config WHERE tenant_id = t.tenant_id AND enabled)"),
    "saved_reply": ("/settings/replies", "EXISTS (SELECT FROM saved_reply WHERE tenant_id = t.tenant_id)"),
    "invite_team": (
        "/settings/team",
        "EXISTS (SELECT FROM invitation WHERE tenant_id = t.tenant_id) OR 1 < (SELECT count(*) FROM member WHERE tenant_id = t.tenant_id)",
    ),
    "choose_plan": ("/settings/plan", "t.plan IS NOT NULL"),
    "two_factor": ("/account", "EXISTS (SELECT FROM member WHERE tenant_id = t.tenant_id AND two_factor_confirmed_at IS NOT NULL)"),
}
"""Each step: where the panel does it, and how the database knows that it is done."""
QUERY: Final = (
    f"SELECT t.onboarding_dismissed_at IS NOT NULL AS dismissed, {', '.join(f'{done} AS {key}' for key, (_, done) in STEPS.items())} "  # noqa: S608
    "FROM tenant t WHERE t.tenant_id = scope.tenant"
)


class StepView(Struct, frozen=True):
    """One step; ``href`` is its page of the panel."""

    key: str
    done: bool
    href: str


class OnboardingView(Struct, frozen=True):
    """How far the workspace has come."""

    dismissed: bool
    completed: bool
    steps: list[StepView]


async def get_onboarding(uow: UnitOfWork) -> OnboardingView:
    """The list as the panel's banner shows it."""
    row = await uow.fetchrow(QUERY)
    done = dict(row) if row else dict.fromkeys(STEPS, False)
    steps = [StepView(key, done[key], href) for key, (href, _) in STEPS.items()]
    return OnboardingView(bool(done.get("dismissed")), all(step.done for step in steps), steps)
