"""An ONVIF client (onvif-zeep): onvif_client.py IP PORT USER PASSWORD. Prints what it was told, or the fault."""

import sys
from pathlib import Path

import onvif
from onvif import ONVIFCamera, ONVIFError


def main() -> None:
    ip, port, user, password = sys.argv[1:5]
    wsdl = Path(onvif.__file__).parents[1] / "wsdl"
    try:
        camera = ONVIFCamera(ip, int(port), user, password, str(wsdl), no_cache=True)
        print(camera.devicemgmt.GetDeviceInformation().Model)
        print(camera.create_media_service().GetProfiles())
    except ONVIFError as error:
        print(f"refused: {error}")


main()
