from pathlib import Path

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"
    path = str(Path(__file__).parent)
    verbose_name = "Shop"
