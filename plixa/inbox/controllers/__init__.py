"""The inbox's operations under ``/v1/conversations`` and ``/v1/realtime``, and the erasure of contacts, which ends conversations."""
