"""The secrets that the example and the README's routes file ask for -> files in a folder of the test's own."""

from pathlib import Path

ETC = "/etc/relay"
"""Where the documents have the relay's folder."""

SECRETS = {
    "crm_token": "example-crm-token-0123456789",
    "crm_token.new": "example-new-token-0123456789",
    "dwh_token": "example-dwh-token",
    "dwh_secret.new": "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldw==",
    "telegram": "123456:example-telegram",
    "slack": "https://hooks.slack.example/services/T0/B0/example",
    "smtp": "example-mail-password",
    "alerts": "example-alerts-token",
    "oauth": "example-client-secret",
    "amocrm": "example-long-lived-token",
    "dwh_secret": "ZXhhbXBsZS1leGFtcGxlLWV4YW1wbGUtZXhhbXBsZQ==",
}


def placed(text: str, folder: Path) -> str:
    """The text with its secrets under `folder`, where they are written."""
    (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    for name, secret in SECRETS.items():
        (folder / "secrets" / name).write_text(f"{secret}\n")
    return text.replace(ETC, str(folder))
