"""What authors of logger backends test theirs with: ``pytest --loss-logging-backend module:Class``.

Or, in a test suite of one's own, ``from loss_logging.testing.conformance import *`` in a test module that overrides the
fixtures ``loss_logging_backend`` and ``loss_logging_reader`` of :mod:`loss_logging.testing.plugin`.
"""

from loss_logging.testing.subject import Contents, Subject

__all__ = ["Contents", "Subject"]
