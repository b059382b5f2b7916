"""pswd-edge: the site gateway between an AI data centre and its grid."""
