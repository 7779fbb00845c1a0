import json
from pathlib import Path

import pytest

from pivot.mlnode.engines.embedded.chat_template import ChatTemplate, TemplateRefused
from pivot.mlnode.engines.embedded.weights import UnsupportedModel
from tests.mlnode.engines.tiny import TEMPLATE

HELLO = [{"role": "user", "content": "hi"}]


def test_messages_become_a_prompt() -> None:
    template = ChatTemplate(TEMPLATE, {})
    assert template.render({"messages": HELLO}) == "<|im_start|>user\nhi<|im_end|>\n"
    prompt = template.render({"messages": HELLO, "add_generation_prompt": True})
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_the_template_may_refuse_in_its_own_words() -> None:
    with pytest.raises(TemplateRefused, match="no tools here"):
        ChatTemplate(TEMPLATE, {}).render({"messages": [{"role": "tool", "content": ""}]})


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% for _ in range(10 ** 9) %}{% endfor %}",
        "{{ messages[0].content + 1 }}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    with pytest.raises(TemplateRefused):
        ChatTemplate(source, {}).render({"messages": HELLO})


def test_what_templates_rely_on_is_there() -> None:
    source = "{{ bos_token }}{{ messages | tojson }}{{ strftime_now('%Y') | length }}{% for m in messages %}{% break %}{% endfor %}"
    assert ChatTemplate(source, {"bos_token": "<s>"}).render({"messages": ["é<"]}) == '<s>["é<"]4'


def test_older_folders_have_it_in_the_tokenizer_config(tmp_path: Path) -> None:
    assert ChatTemplate.load(tmp_path) is None
    config = {"chat_template": "{{ eos_token }}{{ bos_token }}", "eos_token": "<e>", "bos_token": {"content": "<b>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    template = ChatTemplate.load(tmp_path)
    assert template
    assert template.render({"messages": []}) == "<e><b>"
    (tmp_path / "chat_template.jinja").write_text("own")
    template = ChatTemplate.load(tmp_path)
    assert template
    assert template.render({"messages": []}) == "own"


def test_a_broken_template_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="no valid Jinja"):
        ChatTemplate("{% if %}", {})
