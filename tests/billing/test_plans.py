"""Plans: what a workspace may use is told in one place, and a licence counts for as long as it lasts."""

from httpx import AsyncClient

from tests.support.world import Member, Workspace

PATH = "/v1/billing/subscription"
GRANT = "UPDATE tenant SET plan = 'business', license_expires_at = now() + make_interval(secs => $2) WHERE tenant_id = $1 RETURNING plan"
SUSPEND = "UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1 RETURNING plan"


async def test_the_plan_its_ground_and_its_use(client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace) -> None:
    default = (await client.get(PATH, headers=lucia.headers)).json()["data"]
    assert (default["plan_key"], default["source"], default["features"]) == ("starter", "default", [])
    assert (default["limits"]["seats"], default["usage"]) == (2, {"seats": 2, "whatsapp_numbers": 0})
    await lucia_studios.rows(GRANT, 60)
    granted = (await client.get(PATH, headers=lucia.headers)).json()["data"]
    assert (granted["plan_key"], granted["source"], granted["limits"]["seats"]) == ("business", "license", 15)
    assert granted["license_expires_at"] is not None
    await lucia_studios.rows(GRANT, -1)
    assert (await client.get(PATH, headers=lucia.headers)).json()["data"] == default
    assert (await client.get(PATH, headers=ana.headers)).status_code == 403


async def test_what_is_on_offer_is_told_to_every_member_even_of_a_suspended_workspace(
    client: AsyncClient, ana: Member, lucia_studios: Workspace
) -> None:
    await lucia_studios.rows(SUSPEND)
    offers = (await client.get("/v1/billing/plans", headers=ana.headers)).json()["data"]
    assert [offer["key"] for offer in offers] == ["starter", "professional", "business"]
    assert offers[1]["limits"] == {"whatsapp_numbers": 2, "seats": 5}
