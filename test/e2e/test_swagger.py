"""The web page in a real browser: log in with a token, create a tenant, and connect to it. Nothing comes from elsewhere."""

from __future__ import annotations

import json
import shutil

import pytest

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(180)]

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture
def browser(tmp_path):
    if not CHROMIUM or not DRIVER:
        pytest.skip("Chromium is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--window-size=1300,2400", f"--user-data-dir={tmp_path}/profile",
                     # Whatever the page would want from elsewhere cannot be had.
                     "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    driver.implicitly_wait(15)
    yield driver
    driver.quit()


def find(browser, css):
    from selenium.webdriver.common.by import By

    return browser.find_element(By.CSS_SELECTOR, css)


def click(browser, css):
    element = find(browser, css)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def type_into(browser, css, text):
    """As a hand would: React takes note of it."""
    from selenium.webdriver.common.keys import Keys

    element = find(browser, css)
    element.send_keys(Keys.CONTROL, "a")
    element.send_keys(text)


def test_a_tenant_made_in_the_browser_can_be_used(pooler_of, pg, tmp_path, browser):
    port = free_port()
    pooler: Pooler = pooler_of(api_settings(tmp_path / "api", port), tenants=[default_tenant(pg)])
    browser.get(f"http://127.0.0.1:{port}/swaggerui")
    assert "Penstock" in find(browser, ".info .title").text

    click(browser, "button.authorize")
    type_into(browser, ".auth-container input", token(sub="browser"))
    click(browser, ".auth-btn-wrapper button[type=submit]")
    click(browser, ".auth-btn-wrapper button.btn-done")

    operation = "#operations-tenants-putTenant"
    click(browser, f"{operation} .opblock-summary-control")
    type_into(browser, f"{operation} tr[data-param-name=external_id] input", "browsed")
    body = {"tenant": {"db_host": pg.host, "db_port": pg.port, "db_database": "app", "require_user": True,
                       "users": [{"db_user": "app", "db_password": APP_PASSWORD, "mode_type": "transaction",
                                  "pool_size": 3}]}}
    type_into(browser, f"{operation} textarea.body-param__text", json.dumps(body))
    click(browser, f"{operation} button.execute")
    status = find(browser, f"{operation} .live-responses-table tbody .response-col_status").text
    assert status.startswith("201"), find(browser, f"{operation} .responses-wrapper").text

    with pooler.endpoint(user="app.browsed", password=APP_PASSWORD).connect() as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("app",)
    assert Api(port).get("/api/tenants/browsed").status == 200

    asked = [message["params"]["request"]["url"] for entry in browser.get_log("performance")
             if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"]
    strangers = [url for url in asked if not url.startswith((f"http://127.0.0.1:{port}/", "data:", "chrome"))]
    assert not strangers
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not complaints


def test_the_licence_is_there(pooler_of, pg, tmp_path):
    port = free_port()
    pooler_of(api_settings(tmp_path, port), tenants=[default_tenant(pg)])
    page = Api(port, "")
    assert "Apache License" in page.get("/swaggerui/LICENSE").text
    assert "SmartBear" in page.get("/swaggerui/NOTICE").text
    assert "default-src 'self'" in page.get("/swaggerui").headers["content-security-policy"]
