"""A diagnosis as one page that needs nothing but a browser."""

from equilibria.diagnostics.report.page import check_report, page, value_at, write_report

__all__ = ["check_report", "page", "value_at", "write_report"]
