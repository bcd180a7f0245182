"""Adapters to trackers and trainers. Their SDKs are imported only when one is used."""

if __name__ != "loss_logging.integrations":
    # Under two names the same classes would exist twice, and isinstance would fail between them.
    raise ImportError(f"import this package as loss_logging.integrations, not as {__name__}")
