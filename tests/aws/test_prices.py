"""Prices of training instances: AWS's price list, its cache, and the table that comes with Tunewright."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import (
    Price,
    catalog,
    origins,
    price_per_hour,
    prices_at,
    resolve_endpoint,
    shipped_prices,
)

DENIED = {"__type": "AccessDeniedException", "Message": "not authorized to perform: pricing:GetProducts"}


def product(usage_type: str, *dollars: str, currency: str = "USD") -> str:
    """An entry of ``PriceList`` as the Price List API sends it."""
    sku = f"SKU{abs(hash(usage_type)):X}"
    offers = {
        f"{sku}.JRTCKXETXF.{i}": {
            "priceDimensions": {
                f"{sku}.JRTCKXETXF.6YS6EN2CT7": {
                    "unit": "Hrs",
                    "endRange": "Inf",
                    "description": f"${price} per {usage_type} hour",
                    "appliesTo": [],
                    "rateCode": f"{sku}.JRTCKXETXF.6YS6EN2CT7",
                    "beginRange": "0",
                    "pricePerUnit": {currency: price},
                }
            },
            "sku": sku,
            "effectiveDate": "2026-11-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        }
        for i, price in enumerate(dollars)
    }
    attributes = {
        "regionCode": "eu-west-1",
        "servicecode": "AmazonSageMaker",
        "component": "Training",
        "platoinstancetype": "Training",
        "instanceName": usage_type.rpartition(":")[2],
        "usagetype": usage_type,
        "locationType": "AWS Region",
        "location": "EU (Ireland)",
        "operation": "RunInstance",
    }
    entry = {
        "product": {"productFamily": "ML Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": offers} if offers else {},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }
    return json.dumps(entry)


PAGES = [
    [product("EU-Train:ml.m5.large", "0.1280000000"), product("EU-TrSpt:ml.m5.xlarge", "0.0770000000")],
    [
        product("EU-Train:ml.g7e.48xlarge", "46.5000000000"),
        product("EU-Train:ml.c5.xlarge", "0.0000000000"),
        product("EU-Train:ml.c5.2xlarge"),
        product("EU-Train:ml.c5.4xlarge", "1.0", currency="CNY"),
        "{damaged",
    ],
]


class PriceListServer:
    """GetProducts on this machine."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.pages = PAGES
        self.refusal: dict[str, Any] | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        self.go_on.wait(60)
        if self.refusal:
            return 400, self.refusal
        number = int(request.get("NextToken", 0))
        more = {"NextToken": str(number + 1)} if number + 1 < len(self.pages) else {}
        return 200, {"FormatVersion": "aws_v1", "PriceList": self.pages[number], **more}

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its address."""
        this = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["X-Amz-Target"] == "AWSPriceListService.GetProducts"
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = this.answer(request)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self.go_on.set()
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def price_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceListServer]:
    """The price list of an account of AWS, whose answers nobody has kept yet."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server = PriceListServer()
    with server.running() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", address)
        yield server


def on_aws(region: str = "eu-west-1") -> dict[str, Price]:
    return dict(prices_at(resolve_endpoint("aws", region=region)))


def test_prices_of_the_region_come_from_the_price_list_and_the_others_from_the_table(
    price_list: PriceListServer,
) -> None:
    prices = on_aws()
    assert prices["ml.m5.large"].dollars_per_hour == 0.128
    assert prices["ml.g7e.48xlarge"].dollars_per_hour == 46.5
    assert str(prices["ml.m5.large"]).startswith("AWS price list, eu-west-1, 20")
    unlisted = shipped_prices()
    for name in ("ml.m5.xlarge", "ml.c5.xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge"):
        assert prices[name] == unlisted[name]
    filters = {one["Field"]: one["Value"] for one in price_list.requests[0]["Filters"]}
    assert filters == {"regionCode": "eu-west-1", "component": "Training"}
    assert price_list.requests[0]["ServiceCode"] == "AmazonSageMaker"


def test_an_answer_is_kept_by_day_and_region(price_list: PriceListServer) -> None:
    first = on_aws()
    assert on_aws() == first
    assert len(price_list.requests) == len(PAGES)
    on_aws("us-west-2")
    assert len(price_list.requests) == 2 * len(PAGES)


def test_an_old_answer_is_renewed_and_outlives_a_refusal(price_list: PriceListServer, tmp_path: Path) -> None:
    on_aws()
    (path,) = (tmp_path / "cache").rglob("eu-west-1.json")
    old = json.loads(path.read_text()) | {"date": "2026-01-31", "asked": 0.0}
    path.write_text(json.dumps(old))
    price_list.refusal = DENIED
    assert str(on_aws()["ml.m5.large"]) == "AWS price list, eu-west-1, 2026-01-31"
    path.write_text(json.dumps(old))
    price_list.refusal = None
    assert on_aws()["ml.m5.large"].date > "2026-01-31"


def test_without_the_permission_the_table_serves_and_the_api_is_not_asked_again_at_once(
    price_list: PriceListServer,
) -> None:
    price_list.refusal = DENIED
    assert on_aws() == on_aws() == shipped_prices()
    assert len(price_list.requests) == 1


@pytest.mark.parametrize("text", ["{damaged", "[]", '{"region": 1}'])
def test_a_damaged_cache_is_replaced(price_list: PriceListServer, tmp_path: Path, text: str) -> None:
    path = tmp_path / "cache" / "tunewright" / "prices" / "eu-west-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert on_aws()["ml.m5.large"].dollars_per_hour == 0.128


def test_an_api_that_is_silent_delays_nothing(
    price_list: PriceListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_ASK_SECONDS", 0.05)
    price_list.go_on.clear()
    assert on_aws() == shipped_prices()


def test_without_credentials_or_network_the_table_serves(
    price_list: PriceListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert on_aws() == shipped_prices()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:1")
    assert on_aws("us-west-2") == shipped_prices()
    assert not price_list.requests


def test_only_aws_is_asked_and_only_for_dollars(price_list: PriceListServer) -> None:
    for endpoint in (
        resolve_endpoint("embedded"),
        resolve_endpoint("http://127.0.0.1:1", region="eu-west-1"),
        resolve_endpoint("aws", region="cn-north-1"),
    ):
        assert prices_at(endpoint) == shipped_prices()
    assert not price_list.requests


def test_each_price_of_the_table_says_where_and_when_it_was_read() -> None:
    prices = shipped_prices()
    assert price_per_hour("ml.z9.xlarge") is None
    for instance_type, price in prices.items():
        assert price_per_hour(instance_type) == price.dollars_per_hour > 0
        assert price.source
        assert price.date >= "2023-06"
    assert str(prices["ml.m5.large"]) == "table, us-east-1, 2026-09-27"
    assert str(prices["ml.p2.xlarge"]) == "table, region not stated, 2023-06"
    assert origins([prices["ml.m5.large"]] * 2) == "table, us-east-1, 2026-09-27"
