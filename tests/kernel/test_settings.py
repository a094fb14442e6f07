"""Settings: the file's defaults, the environment over them, and one sentence when something is wrong."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest

from plixa.kernel.settings import VARIABLES, Settings, SettingsError, load_settings

KEY = "k" * 40


def load(home: Path, **environ: str) -> Settings:
    return load_settings({"PLIXA_HOME": str(home), **environ})


def refusal(home: Path, environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(home, **environ)
    return str(caught.value)


def test_without_any_variable_everything_is_embedded(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.host, settings.port, settings.sandbox_port) == ("127.0.0.1", 8000, 8001)
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.media_url == f"file://{tmp_path / 'media'}"
    assert (settings.database_url, settings.redis_url, settings.evolution_url) == (None, None, None)
    assert settings.gateway_url == "http://127.0.0.1:8001"
    assert len(settings.gateway_api_key) == 64


def test_the_plans_are_those_of_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.default_plan == "starter"
    assert {name: plan.limits["seats"] for name, plan in settings.plans.items()} == {
        "starter": 2,
        "professional": 5,
        "business": 15,
    }
    assert settings.plans["starter"].features == frozenset()
    assert "api_access" in settings.plans["business"].features


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, PLIXA_PORT="9001", PLIXA_WEB_WORKERS="3")
    assert (settings.port, settings.web_workers) == (9001, 3)
    assert settings.public_url == "http://127.0.0.1:9001"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert load(tmp_path, PLIXA_PORT="", PLIXA_DATABASE_URL=" ").port == 8000


def test_a_file_in_the_working_directory_replaces_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = (Path(__file__).parents[2] / "litestar.toml").read_text()
    (tmp_path / "litestar.toml").write_text(packaged.replace("seats = 2", "seats = 7"))
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path).plans["starter"].limits["seats"] == 7


def test_a_misspelt_line_of_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = (Path(__file__).parents[2] / "litestar.toml").read_text()
    (tmp_path / "litestar.toml").write_text(packaged.replace("pool_size", "pool_sice"))
    monkeypatch.chdir(tmp_path)
    assert "pool_si" in refusal(tmp_path, {})


def test_the_key_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    first, second = load(tmp_path / "home"), load(tmp_path / "home")
    assert first.secret_keys == second.secret_keys
    assert (tmp_path / "home/secret.key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["secret.key"]


def test_two_homes_have_two_keys(tmp_path: Path) -> None:
    assert load(tmp_path / "a").secret_keys != load(tmp_path / "b").secret_keys


def test_several_keys_are_kept_newest_first(tmp_path: Path) -> None:
    old = load(tmp_path, PLIXA_SECRET_KEY=KEY)
    rotated = load(tmp_path, PLIXA_SECRET_KEY=f"{'n' * 32}, {KEY}")
    assert rotated.secret_keys[1:] == old.secret_keys
    assert [len(key) for key in rotated.secret_keys] == [32, 32]
    assert not (tmp_path / "secret.key").exists()


def test_secrets_never_show_in_a_log(tmp_path: Path) -> None:
    settings = load(tmp_path, PLIXA_SECRET_KEY=KEY, PLIXA_EVOLUTION_URL="http://wa", PLIXA_EVOLUTION_API_KEY="canary")
    assert "canary" not in repr(settings)
    assert "secret_keys" not in repr(settings)


def test_addresses_of_other_dialects_are_understood(tmp_path: Path) -> None:
    settings = load(tmp_path, PLIXA_DATABASE_URL="postgres://me@db/plixa", PLIXA_REDIS_URL="valkey://cache:6379/2")
    assert (settings.database_url, settings.redis_url) == ("postgresql://me@db/plixa", "redis://cache:6379/2")


def test_no_proxy_is_trusted_but_those_that_are_named(tmp_path: Path) -> None:
    assert load(tmp_path).trusted_proxies == ()
    named = load(tmp_path, PLIXA_TRUSTED_PROXIES="10.0.0.0/8, fd00::/8,192.0.2.1").trusted_proxies
    assert named == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.1/32"))


@pytest.mark.parametrize(
    "environ",
    [
        {"PLIXA_PORT": "many"},
        {"PLIXA_PORT": "0"},
        {"PLIXA_PORT": "70000"},
        {"PLIXA_WEB_WORKERS": "0"},
        {"PLIXA_TRUSTED_PROXIES": "perhaps"},
        {"PLIXA_TRUSTED_PROXIES": "10.0.0.0/8,10.0.0.1/8"},
        {"PLIXA_ENVIRONMENT": "staging"},
        {"PLIXA_DATABASE_URL": "mysql://db/plixa"},
        {"PLIXA_REDIS_URL": "http://cache"},
        {"PLIXA_PUBLIC_URL": "chat.example.com"},
        {"PLIXA_PUBLIC_URL": "https://chat.example.com/?a=b"},
        {"PLIXA_PUBLIC_URL": "http://[half"},
        {"PLIXA_MEDIA_URL": "ftp://media"},
        {"PLIXA_SECRET_KEY": "short"},
        {"PLIXA_SECRET_KEY": f"{KEY},short"},
        {"PLIXA_EVOLUTION_API_KEY": "alone"},
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_it(environ: dict[str, str], tmp_path: Path) -> None:
    sentence = refusal(tmp_path, environ)
    assert next(iter(environ)) in sentence
    assert "\n" not in sentence


def test_a_gateway_needs_its_key(tmp_path: Path) -> None:
    assert "PLIXA_EVOLUTION_API_KEY" in refusal(tmp_path, {"PLIXA_EVOLUTION_URL": "https://wa.example.com"})


def test_a_misspelt_variable_is_refused_with_a_guess(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, {"PLIXA_DATABSE_URL": "postgresql://db/plixa"})
    assert sentence == "PLIXA_DATABSE_URL is not a setting of Plixa; did you mean PLIXA_DATABASE_URL?"


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "secret.key").chmod(0o644)
    assert "PLIXA_HOME" in refusal(tmp_path, {})


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "PLIXA_PUBLIC_URL"),
        ({"PLIXA_PUBLIC_URL": "https://x.example", "PLIXA_DATABASE_URL": "postgresql://db/p"}, "PLIXA_SECRET_KEY"),
    ],
)
def test_production_refuses_what_is_only_safe_on_a_laptop(environ: dict[str, str], named: str, tmp_path: Path) -> None:
    assert named in refusal(tmp_path, {"PLIXA_ENVIRONMENT": "production", **environ})


def test_every_variable_sets_a_field() -> None:
    assert set(VARIABLES.values()) <= set(Settings.__struct_fields__)
