"""Copy this folder into the `extensions` folder of ai-toolkit."""

from loss_logging.integrations.trainers.ai_toolkit import AI_TOOLKIT_EXTENSIONS

__all__ = ["AI_TOOLKIT_EXTENSIONS"]
