"""Cue words of claims and opinions, by what they do in a sentence."""

from __future__ import annotations

import numpy as np

from pipeline.classify.table import Table
from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.cues import build_cues, count_cues

CUES = {
    name: tuple(words.split())
    for name, words in {
        "report": (
            "表示 认为 指出 谈到 强调 透露 坦言 介绍 回忆 告诉 写道 提到 宣布 预计 显示 称 说 直言 "
            "回应 解释 披露 声称 承认 补充 说道 评价 要求 呼吁 预测 估算 测算 报道 建议称 援引 公布 "
            "发布 通报 问道 反问 感叹 感慨 总结道 觉得"
        ),
        "source": "据 根据 按照 数据 报告 调查 研究 统计 消息 记者 财报 公告",
        "must": "应该 应当 必须 需要 务必 一定要 不要 不能 不可 切勿 最好 建议 应 须 得要 请",
        "can": "可以 可 能够 能 会 便于 方便",
        "maybe": "可能 也许 或许 恐怕 大概 似乎 好像 有望 势必 必将 注定 未必 或将",
        "future": "将 未来 今后 接下来 明年 下半年 即将 将会 将来",
        "past": "了 曾 已经 已 过 昨天 去年 当时 此前 日前 近日 当年 当天 后来 今年 当日",
        "if": "如果 若 只要 只有 一旦 假如 除非 无论 不管 的话 要是 当",
        "contrast": "但 但是 然而 不过 却 而是 反而 其实 事实上 毕竟 显然 当然 确实 尤其 甚至",
        "cause": "因为 所以 因此 由于 导致 从而 意味着 说明 使得 以便 为了 旨在 让",
        "praise": (
            "重要 关键 核心 意义 价值 优势 优秀 完美 强大 出色 最好的 最佳 深刻 伟大 精彩 值得 极具 "
            "领先 卓越 高效 便捷 有效 很好 不错 成功 难得 宝贵 积极"
        ),
        "blame": "问题 错误 失败 糟糕 可怕 危险 缺乏 不足 难以 遗憾 可惜 荒唐 尴尬 无奈 困难 麻烦",
        "degree": "很 非常 极其 十分 特别 更 最 太 极 相当 越来越 真正 无疑 绝对 永远 越",
        "ask": "吗 呢 为什么 为何 如何 怎么 怎样 什么 谁 难道 何必 凭什么 是否 吧",
        "first": "我 我们 咱们 笔者 本人 自己",
        "second": "你 您 你们 大家 各位",
        "third": "他 她 他们 她们 先生 女士 教授 总裁 经理 专家 分析师 创始人 负责人",
        "step": (
            "点击 打开 输入 选择 登录 访问 下载 安装 运行 执行 配置 设置 修改 复制 使用 添加 进入 "
            "勾选 保存 重启 升级 首先 然后 接着 最后"
        ),
        "measure": "亿 万 % 元 倍 年 月 日 名 家 人 次 吨 公里 美元 个",
        "is": "是 属于 包括 指的是 分为 位于 成立 拥有 叫做 称为 来自",
        "not": "不 没有 没 无法 并非 不是 无",
    }.items()
}
"""Words by what they do; the longest at a place counts."""

_KEYS, _CODES, _PARTS = build_cues(CUES)


def cues_of(table: Table, spans: IntArray) -> FloatArray:
    """Cues of sentences: how many, and how near the start the first is: (n_spans, 2 * len(CUES))."""
    out = np.empty((len(spans), 2 * len(CUES)), dtype=np.float32)
    count_cues(table.folded, np.ascontiguousarray(spans), _KEYS, _CODES, _PARTS, len(CUES), out)
    return out
