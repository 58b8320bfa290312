"""How good the default is on tables, against rows that neither training nor choice saw: one measurement a file."""
