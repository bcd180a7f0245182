"""What authors test theirs with: ``pytest --loss-logging-backend module:Class`` for a logger backend, and
``pytest --loss-logging-trainer module:function`` for the adapter of a trainer.

Or, in a test suite of one's own, ``from loss_logging.testing.conformance import *`` in a test module that overrides the
fixtures ``loss_logging_backend`` and ``loss_logging_reader`` of :mod:`loss_logging.testing.plugin`; for a trainer
``from loss_logging.testing.trainer_conformance import *``, and the fixture ``loss_logging_trainer``.
"""

from loss_logging.testing.subject import Contents, Subject
from loss_logging.testing.trainer import Task, Trained, TrainerSubject

__all__ = ["Contents", "Subject", "Task", "Trained", "TrainerSubject"]
