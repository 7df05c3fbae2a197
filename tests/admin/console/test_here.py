"""Where a page says that it is: forms come back to a page, also from one that answers a form."""

import pytest

from relay.admin.console.site import PAGES
from tests.admin.console.conftest import Client, Seen

FORMS = sorted({page.path for page in PAGES if page.method == "POST"} - {"/logout"})  # which reads no field
NO_FORM = {"Content-Type": "multipart/form-data; boundary="}


@pytest.mark.parametrize("path", FORMS)
async def test_what_is_said_of_a_form_comes_back_to_a_page(browser: Client, path: str) -> None:
    path = path.replace("{id}", "x").replace("{target}", "warehouse").replace("{source}", "crm")
    answer = await browser.post(path, data=b"--", headers=NO_FORM, allow_redirects=False)
    assert answer.status in (400, 404, 422), "the page is one that answers a form"
    backs = {form["fields"]["back"] for form in Seen(await answer.text()).forms if "back" in form["fields"]}
    assert backs
    for back in backs:
        assert (await browser.get(back)).status in (200, 404), f"{back} is no page"


async def test_a_page_that_is_looked_at_comes_back_with_its_query(browser: Client) -> None:
    seen = Seen(await (await browser.get("/deliveries?state=dead")).text())
    assert "/deliveries?state=dead" in {form["fields"].get("back") for form in seen.forms}
