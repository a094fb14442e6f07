"""Everything under ``/v1``."""

from typing import Any, Self

from litestar import Request, Router
from litestar.di import Provide

from plixa.automation.controllers.assignment_rules import AssignmentRuleController
from plixa.automation.controllers.welcome import WelcomeConfigController
from plixa.backoffice.controllers.authentication import StaffAuthenticationController
from plixa.backoffice.controllers.campaigns import CampaignController
from plixa.backoffice.controllers.tenants import ImpersonationController, TenantController, TenantListController
from plixa.backoffice.controllers.two_factor import StaffTwoFactorController
from plixa.backoffice.controllers.waitlist import StaffWaitlistController, WaitlistController
from plixa.billing.controllers import BillingController
from plixa.contacts.controllers.custom_fields import ContactFieldController, CustomFieldController
from plixa.contacts.controllers.imports import ContactImportController
from plixa.contacts.controllers.labels import ContactLabelController, LabelController
from plixa.contacts.controllers.opt_out import OptOutController
from plixa.contacts.controllers.people import ContactController
from plixa.identity.commands.sessions import Entrance
from plixa.identity.controllers.account import AccountController
from plixa.identity.controllers.api_tokens import ApiTokenController
from plixa.identity.controllers.authentication import AuthenticationController
from plixa.identity.controllers.passwords import PasswordController
from plixa.identity.controllers.two_factor import TwoFactorController
from plixa.inbox.controllers.contacts import ContactCareController
from plixa.inbox.controllers.conversations import ConversationController
from plixa.inbox.controllers.labels import ConversationLabelController
from plixa.inbox.controllers.messages import MessageController
from plixa.inbox.controllers.outreach import MessagesApiController
from plixa.inbox.controllers.realtime import realtime
from plixa.inbox.controllers.saved_replies import SavedReplyController
from plixa.inbox.controllers.surveys import CsatConfigController, CsatController
from plixa.inbox.controllers.targets import SlaConfigController
from plixa.kernel.guard import enforce_access
from plixa.kernel.http import provide_caller, provide_kernel, provide_settings, provide_uow
from plixa.kernel.paging import provide_paging
from plixa.notifications.controllers.deliveries import ResendWebhookController
from plixa.notifications.controllers.mailbox import MailboxController
from plixa.notifications.controllers.push import PushController, StaffPushController
from plixa.notifications.controllers.unsubscribing import UnsubscribeController
from plixa.reports.controllers.audit import AuditController, StaffAuditController
from plixa.reports.controllers.digest import DigestController
from plixa.scheduling.controllers.appointments import AppointmentController
from plixa.scheduling.controllers.closures import ClosureController
from plixa.scheduling.controllers.feeds import FeedController
from plixa.scheduling.controllers.filters import CalendarFilterController
from plixa.scheduling.controllers.google import GoogleCalendarController, GoogleWebhookController
from plixa.scheduling.controllers.holds import HoldController
from plixa.scheduling.controllers.holidays import HolidayConfigController
from plixa.scheduling.controllers.reminder_config import ReminderConfigController
from plixa.scheduling.controllers.resources import ResourceController
from plixa.scheduling.controllers.schedules import BaseScheduleController, ProviderController
from plixa.scheduling.controllers.services import ServiceController
from plixa.scheduling.controllers.slots import SlotController
from plixa.scheduling.controllers.waitlist import CalendarWaitlistController
from plixa.support.controllers.articles import ArticleController, StaffArticleController
from plixa.support.controllers.desk import DeskController, DeskTicketController
from plixa.support.controllers.tags import CannedReplyController, TicketTagController
from plixa.support.controllers.tickets import SupportController
from plixa.whatsapp.controllers import GatewayWebhookController, PhoneInstanceController
from plixa.workspace.controllers.deletion import DeletionController
from plixa.workspace.controllers.sectors import SectorController
from plixa.workspace.controllers.settings import (
    BusinessHoursController,
    MetaController,
    OnboardingController,
    SecurityConfigController,
    WorkspaceConfigController,
    public_image,
)
from plixa.workspace.controllers.team import TeamController

DEPENDENCIES = {
    "uow": Provide(provide_uow, sync_to_thread=False),
    "caller": Provide(provide_caller, sync_to_thread=False),
    "kernel": Provide(provide_kernel, sync_to_thread=False),
    "settings": Provide(provide_settings, sync_to_thread=False),
    "paging": Provide(provide_paging, sync_to_thread=False),
}
"""What any operation may ask for by name."""


OPERATIONS = (
    AuthenticationController,
    AccountController,
    PasswordController,
    ApiTokenController,
    TwoFactorController,
    PhoneInstanceController,
    GatewayWebhookController,
    ContactController,
    ContactCareController,
    OptOutController,
    ContactImportController,
    ConversationController,
    MessageController,
    realtime,
    SavedReplyController,
    LabelController,
    ConversationLabelController,
    ContactLabelController,
    CustomFieldController,
    ContactFieldController,
    MessagesApiController,
    AssignmentRuleController,
    WelcomeConfigController,
    SlaConfigController,
    CsatConfigController,
    CsatController,
    WorkspaceConfigController,
    SecurityConfigController,
    BusinessHoursController,
    OnboardingController,
    MetaController,
    SectorController,
    TeamController,
    DeletionController,
    BillingController,
    AuditController,
    StaffAuditController,
    DigestController,
    MailboxController,
    PushController,
    StaffPushController,
    StaffAuthenticationController,
    StaffTwoFactorController,
    TenantListController,
    TenantController,
    ImpersonationController,
    WaitlistController,
    StaffWaitlistController,
    ServiceController,
    ResourceController,
    ProviderController,
    BaseScheduleController,
    ClosureController,
    HolidayConfigController,
    ReminderConfigController,
    CalendarFilterController,
    FeedController,
    GoogleCalendarController,
    GoogleWebhookController,
    SlotController,
    AppointmentController,
    HoldController,
    CalendarWaitlistController,
    CampaignController,
    ResendWebhookController,
    UnsubscribeController,
    ArticleController,
    StaffArticleController,
    SupportController,
    DeskController,
    DeskTicketController,
    TicketTagController,
    CannedReplyController,
)
"""Every controller and stream under ``/v1``."""


def provide_entrance(request: Request[Any, Any, Any]) -> Entrance:
    """What letting people in takes."""
    state = request.app.state
    return Entrance(state.kernel, state.settings, state.passwords, state.throttler)


def create_images() -> Router:
    """Pictures that anybody may fetch, outside of ``/v1``."""
    return Router("/images", route_handlers=[public_image], dependencies={"kernel": DEPENDENCIES["kernel"]})


class Operations(Router):
    """Every operation. It is made for one application, which need not make it again: Litestar copies routers, all that is in them too."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def create_router() -> Router:
    """The operations, behind the one guard that reads what each declares."""
    return Operations(
        "/v1",
        route_handlers=OPERATIONS,
        guards=[enforce_access],
        dependencies=DEPENDENCIES | {"entrance": Provide(provide_entrance, sync_to_thread=False)},
    )
