"""Services: every write of this app is a function in one of these modules."""
