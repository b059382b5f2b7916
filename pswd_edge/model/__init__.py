"""The domain: what a site is, what is measured, what may be asked. No I/O, no clock."""
