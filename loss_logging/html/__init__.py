"""The report page: one HTML file per run that needs neither a network nor a server."""

from loss_logging.pages.build import PageBuilder, write_page

__all__ = ["PageBuilder", "write_page"]
