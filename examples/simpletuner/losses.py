"""Loss logging for SimpleTuner: copy to simpletuner/custom-trackers, and give it two arguments.

--report_to=custom-tracker --custom_tracker=losses
"""

from loss_logging.integrations.trainers.simpletuner import LossTracker


class Losses(LossTracker):
    """Its settings may come from a file: ``config = "config/losses.toml"``."""
