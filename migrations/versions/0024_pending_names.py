"""Names that wait to be indexed are few: every search for a name reads all that wait, half a thousand pages of them until now."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute("ALTER INDEX inbox_name_words SET (gin_pending_list_limit = 64)")
    op.execute("ALTER INDEX contact_words SET (gin_pending_list_limit = 64)")
