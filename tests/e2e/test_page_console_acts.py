"""What an operator does at the console takes effect on the server, by the commands' routes, with who and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from console_support import BIA, SETTINGS, Desk, ask, newest
from e2e.serving import KEY, RomServer
from playwright.sync_api import Browser, Locator, expect
from waiting import until

from local_bedrock import LocalBedrock

SERVER_SETTINGS = SETTINGS
CHAT = {"X-Api-Key": KEY}
MODEL = "anthropic.claude-sonnet-4-5"
EVIL = '<img src=x onerror="window.pwned=1">'


@pytest.fixture(scope="module")
def desk(browser: Browser, server: RomServer, bedrock: LocalBedrock) -> Iterator[Desk]:
    """Ana at the console; nothing goes wrong there but what the tests bring about."""
    taken = Desk(browser, server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    taken.sign_in()
    yield taken
    assert taken.foreign == []
    assert [one for one in taken.complaints if "status of 4" not in one and "status of 503" not in one] == []
    assert taken.violations() == []
    assert taken.page.evaluate("window.pwned") is None
    taken.close()


def flag(server: RomServer, name: str) -> Any:
    """A setting as the server has it."""
    return ask(server, "/admin/flags")["flags"][name]


def rows(dialog: Locator) -> list[str]:
    """The table of what changes, a text for each row."""
    return [" ".join(text.split()) for text in dialog.locator("tbody tr").all_inner_texts()]


def test_the_kill_switch_and_back(desk: Desk, server: RomServer) -> None:
    """One button, a reason, a second look: chats are refused at once, the top says so, the history says who and why."""
    dialog = desk.press("Desligar o Bedrock", "#verdict")
    expect(dialog).to_contain_text("todo chat recebe 503 bedrock_disabled")
    expect(dialog).to_contain_text("Desfazer: o mesmo botão")
    assert rows(dialog) == ["BEDROCK_ENABLED true false"]
    expect(desk.refused("  ")).to_contain_text("Escreva o motivo")
    assert flag(server, "BEDROCK_ENABLED")["value"] is True
    dialog.get_by_role("button", name="custo fora do normal").click()
    dialog.locator("[type=submit]").click()
    expect(desk.page.locator(".notice").first).to_contain_text("BEDROCK_ENABLED: true → false")
    expect(desk.page.locator("#verdict-state")).to_have_text("Fora do ar")
    expect(desk.page.locator("#verdict-why")).to_contain_text("Bedrock desligado")
    assert server.chat("Bom dia", headers=CHAT).json()["code"] == "bedrock_disabled"
    entry = newest(server)
    assert (entry["by"], entry["why"]) == ("ana", "custo fora do normal")
    assert entry["changes"]["BEDROCK_ENABLED"]["to"] is False
    desk.press("Religar o Bedrock", "#verdict")
    desk.confirm("resolvido")
    assert server.chat("Bom dia", headers=CHAT).ok
    assert newest(server)["why"] == "resolvido"
    expect(desk.page.locator("#verdict-why")).to_contain_text("Bedrock religado há menos de um minuto")
    expect(desk.page.locator("#kill")).to_have_text("Desligar o Bedrock")


def test_a_setting_is_found_changed_and_cleared(desk: Desk, server: RomServer) -> None:
    """With where its value comes from; clearing shows beforehand what it falls back on."""
    desk.view("configuracoes")
    desk.page.fill("#flag-search", "retry max")
    item = desk.page.locator('[data-flag="RETRY_MAX_RETRIES"]')
    expect(item).to_contain_text("padrão")
    dialog = desk.press("Mudar RETRY_MAX_RETRIES")
    desk.page.fill("#act-value", "5")
    assert rows(dialog) == ["RETRY_MAX_RETRIES 3 5"]
    expect(desk.confirm(f"mais paciência {EVIL}")).to_contain_text("RETRY_MAX_RETRIES: 3 → 5")
    expect(item).to_contain_text("mudança ao vivo")
    expect(item).to_contain_text("mudança ao vivo por ana, ")
    expect(item).to_contain_text(EVIL)
    assert (flag(server, "RETRY_MAX_RETRIES")["value"], newest(server)["why"]) == (5, f"mais paciência {EVIL}")
    dialog = desk.press("Limpar RETRY_MAX_RETRIES: voltar à camada de baixo")
    assert rows(dialog) == ["RETRY_MAX_RETRIES 5 3"]
    desk.confirm("chega")
    expect(item).to_contain_text("padrão")
    assert (flag(server, "RETRY_MAX_RETRIES")["source"], newest(server)["by"]) == ("default", "ana")
    desk.page.select_option("#flag-layer", label="variável de ambiente")
    desk.page.fill("#flag-search", "")
    expect(desk.page.locator('[data-flag="ADMIN_TOKEN"]')).to_contain_text("***")
    expect(desk.page.locator('[data-flag="ADMIN_TOKEN"] button')).to_have_count(0)
    desk.page.select_option("#flag-layer", value="")


def test_refusals_are_shown_with_every_problem_and_change_nothing(desk: Desk, server: RomServer) -> None:
    """422 with its problems, and 412 where somebody else was first."""
    desk.view("configuracoes")
    desk.page.fill("#flag-search", "RETRY_MAX_RETRIES")
    desk.press("Mudar RETRY_MAX_RETRIES")
    desk.page.fill("#act-value", EVIL)
    problem = desk.refused("tentativa")
    expect(problem).to_contain_text("nada mudou")
    expect(problem.locator("li")).to_contain_text("RETRY_MAX_RETRIES")
    expect(problem).to_contain_text("invalid_settings")
    ask(server, "/admin/reload-flags", token=BIA, RETRY_JITTER="0.3", reason="meanwhile")
    desk.page.fill("#act-value", "4")
    expect(desk.refused("tentativa")).to_contain_text("Alguém mudou a configuração depois que você olhou")
    assert flag(server, "RETRY_MAX_RETRIES")["value"] == 3
    expect(desk.page.locator("#flags")).to_contain_text(f"versão {newest(server)['version']}")
    desk.cancel()


def test_a_sensitive_setting_takes_two_persons(desk: Desk, browser: Browser, server: RomServer) -> None:
    """It waits, whoever proposed it cannot approve it, another named person can."""
    desk.view("configuracoes")
    desk.page.fill("#flag-search", "SYSTEM_PROMPT")
    before = flag(server, "SYSTEM_PROMPT")["value"]
    dialog = desk.press("Mudar SYSTEM_PROMPT")
    expect(dialog).to_contain_text("precisa de duas pessoas")
    desk.page.fill("#act-value", "Responda em latim.")
    expect(desk.confirm("pedido 7")).to_contain_text("espera por uma segunda pessoa")
    assert flag(server, "SYSTEM_PROMPT")["value"] == before
    (waits,) = ask(server, "/admin/flags")["pending"]
    expect(desk.page.locator("#nav-pending")).to_have_text("1")
    pending = desk.page.locator(f'[data-pending="{waits["id"]}"]')
    expect(pending).to_contain_text("proposta por ana")
    expect(pending).to_contain_text("Responda em latim.")
    desk.press(f"Aprovar {waits['id']}")
    expect(desk.refused("eu mesma")).to_contain_text("forbidden")
    desk.cancel()
    other = Desk(browser, server.url, viewport={"width": 360, "height": 740})
    other.sign_in(BIA)
    other.view("configuracoes")
    other.press(f"Aprovar {waits['id']}")
    other.confirm("li e concordo")
    other.close()
    assert flag(server, "SYSTEM_PROMPT")["value"] == "Responda em latim."
    entry = newest(server)
    assert (entry["by"], entry["why"]) == ("bia", f"li e concordo; approves {waits['id']} of ana (pedido 7)")
    expect(pending).to_be_hidden()
    expect(desk.page.locator("#nav-pending")).to_be_hidden()


def test_what_waits_is_dropped_and_the_files_are_read_again(desk: Desk, server: RomServer) -> None:
    """Neither changes a setting that is in force; what waited is gone."""
    view = desk.view("configuracoes")
    desk.page.fill("#flag-search", "SYSTEM_PROMPT")
    before = flag(server, "SYSTEM_PROMPT")["value"]
    desk.press("Mudar SYSTEM_PROMPT")
    desk.page.fill("#act-value", "Responda em grego.")
    desk.confirm("pedido 8")
    (waits,) = ask(server, "/admin/flags")["pending"]
    dialog = desk.press("Descartar todas")
    assert rows(dialog) == [f"{waits['id']} SYSTEM_PROMPT –"]
    desk.confirm("engano")
    assert (newest(server)["by"], newest(server)["why"]) == ("ana", "engano")
    expect(desk.page.locator("#nav-pending")).to_be_hidden()
    assert ask(server, "/admin/flags")["pending"] == []
    expect(desk.press("Reler arquivos")).to_contain_text("Reler os arquivos de configuração")
    desk.confirm("conferência")
    expect(view).to_contain_text("SYSTEM_PROMPT")
    assert flag(server, "SYSTEM_PROMPT")["value"] == before


def test_back_to_a_version_after_a_look_at_what_that_changes(desk: Desk, server: RomServer) -> None:
    """The dialog lists what would change, and changes nothing; then it is a new version, by whom and why."""
    version = newest(server)["version"]
    ask(server, "/admin/reload-flags", MAX_TOKENS="1024", reason=EVIL)
    ask(server, "/admin/reload-flags", RETRY_MAX_RETRIES="1", reason="two")
    view = desk.view("historico")
    expect(view).to_contain_text(EVIL)
    dialog = desk.press(f"Voltar à versão {version}")
    assert sorted(rows(dialog)) == ["MAX_TOKENS 1024 4096", "RETRY_MAX_RETRIES 1 3"]
    expect(dialog).to_contain_text("2 versões mais novas")
    assert newest(server)["version"] == version + 2
    expect(desk.confirm("pior que antes")).to_contain_text("MAX_TOKENS: 1024 → 4096")
    assert (newest(server)["version"], newest(server)["why"]) == (version + 3, "pior que antes")
    assert flag(server, "MAX_TOKENS")["value"] == 4096
    expect(desk.page.locator(f'[data-version="{version + 3}"]')).to_contain_text("em vigor")


def test_a_canary_from_start_to_abort(desk: Desk, server: RomServer) -> None:
    """Start, hold, release, approve and abort; the server's refusal of what does not fit is shown."""

    def rollout() -> Any:
        return ask(server, "/admin/canary")["rollout"]

    view = desk.view("canario")
    desk.press("Começar um canário")
    desk.page.fill("#act-canary-flags", "MAX_TOKENS")
    expect(desk.refused("estreia")).to_contain_text("«MAX_TOKENS» não é NOME=valor.")
    desk.page.fill("#act-canary-flags", "BEDROCK_ENABLED=false")
    expect(desk.refused("estreia")).to_contain_text("BEDROCK_ENABLED")
    desk.page.fill("#act-canary-flags", "MAX_TOKENS=2048")
    desk.confirm("estreia")
    expect(view.locator(".rollout-head")).to_contain_text("50 % do tráfego")
    expect(desk.page.locator("#nav-canary")).to_have_text("50 %")
    assert (rollout()["by"], rollout()["block"]["flags"]) == ("ana", {"MAX_TOKENS": 2048})
    desk.press("Segurar")
    desk.confirm("esperar a Bia")
    expect(view.locator(".rollout")).to_contain_text("segurado")
    assert rollout()["held"]
    desk.press("Aprovar a fase")
    expect(desk.refused("agora")).to_contain_text("canary_conflict")
    desk.cancel()
    desk.press("Soltar")
    desk.confirm("Bia viu")
    assert until(lambda: rollout()["approvable"] == "with_reason")
    expect(view.locator(".rollout-gate")).to_contain_text("inconclusivo")
    desk.press("Aprovar a fase")
    desk.confirm("pouco tráfego, pessoas contentes")
    expect(view.locator(".rollout-head")).to_contain_text("100 % do tráfego")
    desk.press("Abortar")
    desk.confirm("reclamações")
    assert rollout()["status"] == "aborted"
    assert flag(server, "MAX_TOKENS")["value"] == 4096
    trail = ask(server, "/admin/canary")["trail"]
    said = {entry["why"]: entry["by"] for entry in trail}
    assert said.items() >= dict.fromkeys(["estreia", "esperar a Bia", "Bia viu", "reclamações"], "ana").items()
    expect(view).to_contain_text("reclamações")


def test_a_circuit_is_held_open_closed_and_let_go(desk: Desk, server: RomServer) -> None:
    """Open: the next model answers; the row says by whom and why; automatic lets it go."""
    desk.view("agora")
    row = desk.page.locator(f'[data-key="{MODEL}"]')
    dialog = desk.press(f"Abrir o circuito de {MODEL}")
    expect(dialog).to_contain_text("Nenhum pedido vai mais a este modelo")
    desk.confirm(f"respostas estranhas {EVIL}")
    expect(row).to_contain_text("aberto (forçado)")
    expect(row).to_contain_text("ana, ")
    expect(row).to_contain_text(EVIL)
    expect(desk.page.locator('[data-tile="circuits"]')).to_have_attribute("data-level", "alert")
    assert server.chat("Bom dia", headers=CHAT).json()["model"] != MODEL
    desk.press(f"Fechar o circuito de {MODEL} e mantê-lo fechado")
    desk.confirm("testar")
    expect(row).to_contain_text("fechado (forçado)")
    assert server.chat("Bom dia", headers=CHAT).json()["model"] == MODEL
    desk.press(f"Automático: o circuito de {MODEL} volta a decidir sozinho")
    desk.confirm("passou")
    expect(row).not_to_contain_text("forçado")


def test_an_instance_is_drained_and_taken_back(desk: Desk, server: RomServer) -> None:
    """New turns are refused and /ready says so; the last one that takes turns is warned of; both are undone alike."""
    desk.view("agora")
    (instance,) = ask(server, "/admin/status")["instances"]
    dialog = desk.press(f"Drenar a instância {instance['id']}")
    expect(dialog).to_contain_text("É a única instância que aceita turnos")
    expect(desk.confirm("troca de máquina")).to_contain_text("está drenando")
    assert server.get("/ready").status_code == 503
    assert server.chat("Bom dia", headers=CHAT).json()["code"] == "draining"
    row = desk.page.locator(f'[data-key="{instance["id"]}"]')
    expect(row).to_contain_text("drenando por ana: troca de máquina")
    expect(desk.page.locator("#reasons")).to_contain_text("Drenando")
    desk.press(f"Voltar a aceitar turnos em {instance['id']}")
    desk.confirm("pronta")
    assert server.get("/ready").status_code == 200
    assert server.chat("Bom dia", headers=CHAT).ok
    expect(row).to_contain_text("aceita turnos")


def test_without_the_figures_the_rest_works(desk: Desk, server: RomServer) -> None:
    """With OPERATOR_ENABLED off the console says so; settings can be changed, and figures come back by themselves."""
    desk.view("configuracoes")
    desk.page.fill("#flag-search", "OPERATOR_ENABLED")
    desk.press("Mudar OPERATOR_ENABLED")
    desk.confirm("teste")
    expect(desk.page.locator("#freshness")).to_contain_text("OPERATOR_ENABLED")
    desk.page.reload()
    expect(desk.page.locator("#kill")).to_be_enabled()
    expect(desk.page.locator("#verdict-state")).not_to_have_text("Consultando…")
    desk.press("Desligar o Bedrock", "#verdict")
    desk.confirm("sem figuras também")
    assert flag(server, "BEDROCK_ENABLED")["value"] is False
    expect(desk.page.locator("#kill")).to_have_text("Religar o Bedrock")
    desk.press("Religar o Bedrock", "#verdict")
    desk.confirm("visto")
    expect(desk.page.locator("#flags")).to_contain_text(f"versão {newest(server)['version']}")
    desk.page.fill("#flag-search", "OPERATOR_ENABLED")
    desk.press("Limpar OPERATOR_ENABLED: voltar à camada de baixo")
    desk.confirm("de volta")
    expect(desk.page.locator("#freshness")).to_have_text("ao vivo")
