"""Labels on conversations."""

from plixa.contacts.queries.labels import hold_label
from plixa.inbox.commands.editing import edit_visible
from plixa.kernel.uow import UnitOfWork


async def label_conversation(uow: UnitOfWork, conversation: int, label: int) -> None:
    """Put a label on, once; raises NotFound, ContactErased."""
    await hold_label(uow, label)
    async with edit_visible(uow, conversation) as editor:
        editor.record(editor.state.label(label))


async def unlabel_conversation(uow: UnitOfWork, conversation: int, label: int) -> None:
    """Take a label off; without it nothing happens. Raises NotFound, ContactErased."""
    await hold_label(uow, label)
    async with edit_visible(uow, conversation) as editor:
        editor.record(editor.state.unlabel(label))
