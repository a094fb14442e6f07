"""WhatsApp: phone instances, the Evolution gateway and what its webhooks tell."""
