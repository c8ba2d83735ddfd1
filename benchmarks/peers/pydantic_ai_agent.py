"""CPU of a call through pydantic-ai, the official provider's base: BASE_URL KEY CALLS SYSTEM QUESTION."""

import asyncio
import sys
import time

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

base_url, key, calls, system, question = sys.argv[1:]


async def main() -> None:
    model = OpenAIChatModel("benchmark", provider=OpenAIProvider(base_url=base_url, api_key=key))
    agent = Agent(model, instructions=system, model_settings={"max_tokens": 1024, "temperature": 0.0})
    for _ in range(20):
        await agent.run(question)
    start_s = time.process_time()
    for _ in range(int(calls)):
        await agent.run(question)
    print((time.process_time() - start_s) * 1000 / int(calls))


asyncio.run(main())
