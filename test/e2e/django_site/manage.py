"""A Django project as small as can be: settings are here, the application is shop/."""

import os
import sys
from pathlib import Path

from django.conf import settings

options = {"sslmode": os.environ["PGSSLMODE"], "gssencmode": "disable"}
if os.environ.get("PGSSLROOTCERT"):
    options["sslrootcert"] = os.environ["PGSSLROOTCERT"]
transaction_mode = os.environ["E2E_MODE"] == "transaction"

settings.configure(
    BASE_DIR=Path(__file__).parent,
    SECRET_KEY="only for tests",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TIME_ZONE="Europe/Berlin",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"],
        "NAME": os.environ["PGDATABASE"],
        "OPTIONS": options,
        # Django's manual asks for this behind a pooler in transaction mode: its cursors are WITH HOLD.
        "DISABLE_SERVER_SIDE_CURSORS": transaction_mode,
        "TEST": {"NAME": "test_" + os.environ["E2E_TEST_DATABASE"]},
    }},
)

if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
