"""Dates and times of the lists that the admin makes, as all other pages write them, in every language."""

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s T"
