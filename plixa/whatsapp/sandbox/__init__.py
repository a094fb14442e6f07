"""The sandbox gateway: a local server speaking Evolution API v2, with simulated customers."""

from plixa.whatsapp.sandbox.app import create_sandbox
from plixa.whatsapp.sandbox.speaking import say
from plixa.whatsapp.sandbox.webhooks import Retry
from plixa.whatsapp.sandbox.world import Timing, Version

__all__ = ["Retry", "Timing", "Version", "create_sandbox", "say"]
