"""The Diagnostics tab in a real browser: two hosts walked from the first look to the chat, with no model loaded."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import newcomer, shot
from tests.browser.test_look import serious, sideways
from tools.simulation.hosts import load_hosts

HOSTS = load_hosts()


def opened(context: BrowserContext, address: str, width: int = 1280, height: int = 1000) -> Page:
    page = newcomer(context, address)
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    if width < 600:  # the tab is folded away once the row has been measured
        page.get_by_role("button", name="More tabs").click()
        page.locator(".overflow-dropdown button", has_text="Diagnostics").first.click()
    else:
        page.get_by_role("tab", name="Diagnostics", exact=True).click()
    expect(page.locator("#diag-vitals")).to_contain_text("Processor")
    return page


@pytest.fixture(scope="module")
def page(context: BrowserContext, address: str) -> Page:
    return opened(context, address)


def choose(page: Page, host: str) -> None:
    page.locator("#diag-host input").click()
    page.get_by_role("option", name=HOSTS[host].title, exact=True).click()
    expect(page.locator("#diag-complaint")).to_contain_text(HOSTS[host].summary[:40])


def test_vital_signs_show_what_is_wrong_at_a_glance(page: Page) -> None:
    choose(page, "images-disk-full")
    vitals = page.locator("#diag-vitals")
    expect(vitals.locator(".badge")).to_have_text("Simulated")
    expect(vitals.locator(".meter.bad")).to_contain_text("/var/lib/libvirt/images")
    expect(vitals.locator("tr.no")).to_contain_text("sno-ocp4")
    expect(vitals.locator(".line").first).to_have_attribute("aria-label", re.compile(r"%, last 10 minutes$"))
    shot(page, "diagnostics-disk-full")


def test_one_tool_runs_with_the_arguments_of_its_own_fields(page: Page) -> None:
    page.locator("#diag-tool input").click()
    page.get_by_role("option", name="process_info").click()
    page.locator("#diag-process_info-filter_name textarea, #diag-process_info-filter_name input").fill("qemu")
    expect(page.locator("#diag-service_status-services")).to_be_hidden()
    page.locator("#diag-run").click()
    result = page.locator("#diag-result")
    expect(result.locator("summary")).to_contain_text('process_info(filter_name="qemu", top_n=10)')
    expect(result.locator(".badge")).to_have_text("Simulated")
    expect(result).to_contain_text("qemu-kvm")
    expect(result).not_to_contain_text("postgres")


def test_all_tools_end_in_a_diagnosis_with_its_evidence(page: Page) -> None:
    choose(page, "libvirtd-down")
    page.locator("#diag-all").click()
    expect(page.locator("#diag-result .step")).to_have_count(6)
    expect(page.locator("#diag-verdict")).to_contain_text("libvirtd")
    expect(page.locator("#diag-verdict")).to_contain_text("What shows it")
    shot(page, "diagnostics-all")


def test_the_fault_is_found_by_hint_guess_and_proof(page: Page) -> None:
    choose(page, "dns-broken")
    host = HOSTS["dns-broken"]
    expect(page.locator("#diag-verdict")).to_have_text("")
    for number in range(1, len(host.hints) + 1):
        page.locator("#diag-hint").click()
        expect(page.locator("#diag-hints li")).to_have_count(number)
    expect(page.locator("#diag-hint")).to_be_disabled()
    page.get_by_label(host.decoys[0].cause, exact=True).check()
    expect(page.locator("#diag-told")).to_contain_text("No.")
    page.get_by_label(host.answer, exact=True).check()
    expect(page.locator("#diag-told")).to_contain_text("That is it.")
    page.locator("#diag-reveal").click()
    expect(page.locator("#diag-solution tbody tr")).to_have_count(len(host.evidence))
    expect(page.locator("#diag-solution")).to_contain_text(host.remedy[0].do[:30])
    shot(page, "diagnostics-found")
    choose(page, "images-disk-full")
    expect(page.locator("#diag-solution")).to_have_text("")
    expect(page.locator("#diag-hint")).to_be_enabled()


def test_no_serious_finding_of_axe(page: Page) -> None:
    page.locator("#diag-all").click()
    expect(page.locator("#diag-result .step")).to_have_count(6)
    assert serious(page) == []
    page.evaluate("document.body.classList.add('dark')")
    shot(page, "diagnostics-dark")
    assert serious(page) == []


def test_the_host_goes_along_into_the_chat(page: Page) -> None:
    choose(page, "virt-disabled")
    page.locator("#diag-ask").click()
    expect(page.locator("#question textarea")).to_have_value(re.compile("What is wrong with it"))
    expect(page.locator("#host input")).to_have_value(HOSTS["virt-disabled"].title)


def test_it_fits_a_phone(context: BrowserContext, address: str) -> None:
    page = opened(context, address, 360, 740)
    choose(page, "memory-overcommitted")
    expect(page.locator("#diag-vitals .meter.bad")).to_have_count(1)
    page.locator("#diag-reveal").click()
    expect(page.locator("#diag-solution")).to_contain_text("Remedy")
    wider = sideways(page)
    shot(page, "diagnostics-phone")
    assert wider <= 0
