"""CPU of a call through OpenAI's own client: openai_client.py BASE_URL KEY CALLS SYSTEM QUESTION."""

import asyncio
import sys
import time

from openai import AsyncOpenAI

base_url, key, calls, system, question = sys.argv[1:]


async def main() -> None:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    async with AsyncOpenAI(base_url=base_url, api_key=key) as client:

        async def ask() -> None:
            await client.chat.completions.create(
                model="benchmark", messages=messages, max_tokens=1024, temperature=0.0
            )

        for _ in range(20):
            await ask()
        start_s = time.process_time()
        for _ in range(int(calls)):
            await ask()
    print((time.process_time() - start_s) * 1000 / int(calls))


asyncio.run(main())
